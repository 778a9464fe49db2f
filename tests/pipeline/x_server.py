"""A real X server without a screen, where Xvfb is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def xvfb(size: str = "640x480") -> Iterator[str]:
    """Start one; gives its DISPLAY."""
    program = shutil.which("Xvfb")
    if not program:
        pytest.skip("needs Xvfb")
    read, write = os.pipe()
    words = [program, "-displayfd", str(write), "-screen", "0", f"{size}x24", "-noreset"]
    with subprocess.Popen(words, pass_fds=[write], stderr=subprocess.DEVNULL) as server:
        os.close(write)
        try:
            with os.fdopen(read) as pipe:
                yield f":{pipe.readline().strip()}"
        finally:
            server.terminate()
