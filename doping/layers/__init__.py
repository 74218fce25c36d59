"""Layers whose weights are compressed matrices: made in place by patterns on their names, reported, merged back."""
