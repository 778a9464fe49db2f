"""Files of known content are written whole or not at all."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.pipeline.sinks.part_file import write_whole


def test_the_old_file_is_replaced_or_kept_as_was_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_whole(path, b"one")
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    with pytest.raises(UserError, match="exists already"):
        write_whole(path, b"three", overwrite=False)
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_does_not_fit_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_whole(path, b"one")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(SegStreamError, match=r"a\.json cannot be written to its end"):
            write_whole(path, bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]
