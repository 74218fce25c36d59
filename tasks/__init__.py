"""Applications of compressed LSTMs: each a file that puts settings, data and model together, and a line in the registry."""
