"""Compressed weights for recurrent networks: structured matrices, sparse ones, their sums, and what runs them fast.

This package is the library. It imports nothing of the rest of the project, and no Lightning.
"""
