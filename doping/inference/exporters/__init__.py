"""A bundle as C sources or as an ONNX graph."""
