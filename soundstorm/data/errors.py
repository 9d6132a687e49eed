"""Errors that a user can cause and mend: the commands end with their message in one line.

Everything else that goes wrong is a fault of the program and keeps its traceback.
"""


class InputError(ValueError):
    """Something given is not what it should be; the message says what, where, what was expected, and what to do."""


class TrainingFailed(RuntimeError):
    """A training cannot go on with these settings or this data; the message says which to change."""
