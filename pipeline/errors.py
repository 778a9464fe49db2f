"""The errors of seg-stream; each message is one sentence that a user can act on."""


class SegStreamError(Exception):
    """Something went wrong that is not the user's doing; exit code 1."""


class UserError(SegStreamError):
    """The user asked for what cannot be done; exit code 2."""


class Stopped(SegStreamError):  # noqa: N818  # nothing went wrong
    """The run was asked to stop, and what was not whole was thrown away."""


def unusable(error: OSError) -> str:
    """Which file cannot be used, and why: the beginning of a sentence."""
    return f"{error.filename or 'A file'} cannot be used ({error.strerror or error})"
