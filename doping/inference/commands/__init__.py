"""The commands for those who deploy a model."""
