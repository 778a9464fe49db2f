"""Which programs have a device open."""

from __future__ import annotations

import os
from pathlib import Path


def users(device: Path, proc: Path = Path("/proc")) -> list[str]:
    """Name and number of every other process that has a device open, as far as may be seen.

    Processes of other users are seen by root only. Without /proc, so not on Linux, nothing is
    found.
    """
    try:
        target = os.stat(device)  # noqa: PTH116  # compared with what /proc's links lead to
    except OSError:
        return []
    return [
        f"{_name(process)} (process {process.name})"
        for process in sorted(proc.glob("[0-9]*"), key=lambda path: int(path.name))
        if int(process.name) != os.getpid() and _has_open(process, target)
    ]


def _has_open(process: Path, target: os.stat_result) -> bool:
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:  # ended meanwhile, or another user's
        return False
    for descriptor in descriptors:
        try:
            status = os.stat(descriptor)  # noqa: PTH116
        except OSError:
            continue
        if (status.st_dev, status.st_ino) == (target.st_dev, target.st_ino):
            return True
    return False


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text(errors="replace").strip() or "a program"
    except OSError:
        return "a program"
