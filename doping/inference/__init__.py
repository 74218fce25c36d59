"""Compressed models that run without the training code: export, kernels, runtime."""
