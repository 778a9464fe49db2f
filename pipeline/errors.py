"""The errors of seg-stream; each message is one sentence that a user can act on."""

import errno


class SegStreamError(Exception):
    """Something went wrong that is not the user's doing; exit code 1."""


class UserError(SegStreamError):
    """The user asked for what cannot be done; exit code 2."""


class Stopped(SegStreamError):  # noqa: N818  # nothing went wrong
    """The run was asked to stop, and what was not whole was thrown away."""


OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EPIPE)
"""No room for what is written, or nobody who reads it."""


def unusable(error: OSError) -> str:
    """Which file cannot be used, and why: the beginning of a sentence."""
    unnamed = "The output" if error.errno in OUTPUT else "A file"
    return f"{error.filename or unnamed} cannot be used ({error.strerror or error})"


def exit_code(error: OSError) -> int:
    """1 if the output takes no more or a disk fails, 2 for a file that can be named differently."""
    return 1 if error.errno in (*OUTPUT, errno.EIO) else 2
