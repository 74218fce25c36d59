"""Independent references in float64: of matrices, of kernels, of int8 arithmetic."""
