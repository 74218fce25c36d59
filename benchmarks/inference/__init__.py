"""Time of compressed layers against the fastest dense engines: ``python -m benchmarks.inference``."""
