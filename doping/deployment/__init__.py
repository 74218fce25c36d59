"""A compressed model made fast where it lives: its layers on the kernels, as parts of the same PyTorch model or in ONNX."""
