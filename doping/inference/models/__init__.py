"""Models that run on the kernels: an LSTM, a language model, a classifier."""
