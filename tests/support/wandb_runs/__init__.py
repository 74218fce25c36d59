"""Runs of W&B: a stand-in for its server, the files of offline runs, and trials that log to either."""
