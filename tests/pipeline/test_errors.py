import errno
import os

import pytest

from seg_stream.pipeline.errors import exit_code, unusable


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, 1), (errno.EIO, 1), (errno.EACCES, 2)])
def test_a_full_disk_is_not_the_users_mistake(number: int, code: int) -> None:
    assert exit_code(OSError(number, os.strerror(number))) == code


def test_what_cannot_be_used_has_a_name() -> None:
    assert unusable(OSError(errno.EACCES, "no", "a.txt")) == "a.txt cannot be used (no)"
    assert unusable(OSError("odd")) == "A file cannot be used (odd)"


def test_an_output_that_nobody_reads_or_that_is_full_is_named() -> None:
    """It was "A file"."""
    for number in (errno.EPIPE, errno.ENOSPC):
        assert unusable(OSError(number, "no")) == "The output cannot be used (no)"
