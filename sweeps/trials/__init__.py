"""The nouns: a trial, a job, an outcome."""
