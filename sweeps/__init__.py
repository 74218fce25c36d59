"""Studies: a YAML file becomes trials, trials run side by side and survive interruptions, results become files.

One way through: ``study`` (the file) → ``plan`` (its trials) → ``schedule`` (who runs next) → ``engine`` (worker
processes) → ``execute`` (one trial) → ``rows`` (its result) → ``views`` (results.csv, curves.csv).
"""
