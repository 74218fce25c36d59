"""Layers of PyTorch of every kind, as tests compress and deploy them."""
