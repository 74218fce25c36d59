"""The errors of the library: each says in one line what was given, what was expected, and what to do."""


class DataError(ValueError):
    """A corpus that is missing, unreadable or too short; the message says in one line what to do."""


class InferenceError(ValueError):
    """A bundle that cannot be written, read or used as asked; the message says in one line what to do."""


class CompressionError(ValueError):
    """A layer, a pattern or a setting that cannot be compressed as asked; the message says in one line what to do."""


class UnfinishedError(RuntimeError):
    """A model that is not as small as was asked, because its pruning is not over."""
