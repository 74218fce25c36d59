"""The dense language model against a plain loop that shares nothing with it, loss by loss."""
