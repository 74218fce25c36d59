"""Sentences and their translations: where they come from, their subwords, and their batches."""
