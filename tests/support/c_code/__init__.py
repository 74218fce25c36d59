"""C sources as tests build and run them, each object compiled once."""
