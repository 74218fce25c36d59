"""A workspace and a report for Weights & Biases as code: ``python -m analysis.wandb_pages``."""
