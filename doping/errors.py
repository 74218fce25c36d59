"""The error of everything that can go wrong with a corpus."""


class DataError(ValueError):
    """A corpus that is missing, unreadable or too short; the message says in one line what to do."""


class InferenceError(ValueError):
    """A bundle that cannot be written, read or used as asked; the message says in one line what to do."""
