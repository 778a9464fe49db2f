"""CUDA C that mirrors prepare, matte and blend of the CPU, and the PTX that nvcc made of it.

`make kernels` makes the PTX again; its first line carries the SHA-256 of what it was made from.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

FOLDER = Path(__file__).parent

STAMP = "// source sha256 "


def ptx(file: str) -> bytes:
    """The PTX of one file of kernels, by its name without a suffix."""
    return (FOLDER / f"{file}.ptx").read_bytes() + b"\0"


def source_hash(source: Path) -> str:
    """SHA-256 of a file of kernels with the header that all of them include."""
    digest = hashlib.sha256()
    for path in (source.with_name("planes.cuh"), source):
        digest.update(path.read_bytes())
    return digest.hexdigest()
