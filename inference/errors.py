"""The error of everything that a user of bundles can do wrong."""


class InferenceError(ValueError):
    """A bundle that cannot be written, read or used as asked; the message says in one line what to do."""
