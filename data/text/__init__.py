"""A text as one stream of tokens: its vocabulary, its tokens in memory or in a file, and its batches."""
