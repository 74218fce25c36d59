"""Damaged and malicious bundles, loaded and run: ``python -m benchmarks.bundle_fuzz``."""
