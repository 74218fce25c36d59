"""One trial, here: claim it, train it, write its row. ``python -m sweeps.worker`` is the process that does."""
