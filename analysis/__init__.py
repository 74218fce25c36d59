"""From a folder of results to tables, figures and a report.

Reads ``results.csv`` and ``curves.csv``, and of the trained models what is left: ``trials/ID/model.ckpt``.
"""
