"""Texts with labels: where they come from, their words and labels as numbers, and their batches."""
