"""Optuna's view of a study, for its dashboard: made from rows, never read back."""
