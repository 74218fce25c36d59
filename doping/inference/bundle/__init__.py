"""The file of a compressed model: what it holds, how it is checked, read and written."""
