"""Where texts come from: with Python, published, from the hub, or from the user.

A new corpus is one file here and a line in ``registry.py``.
"""
