"""From files of results to tables and figures; reads ``results.csv`` and ``curves.csv``, and nothing else."""
