"""The module that owns the GPU, as far as a machine without one can tell."""

from __future__ import annotations

import subprocess
import threading

import pytest

from seg_stream.engines.cuda import Gpu
from seg_stream.pipeline.errors import UserError


def has_gpu() -> bool:
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return listed.returncode == 0


@pytest.mark.skipif(has_gpu(), reason="there is a GPU here")
def test_without_a_gpu_it_says_so_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    with pytest.raises(UserError, match=r"(pycuda|NVIDIA GPU).* another --engine") as caught:
        Gpu()
    assert "/" not in str(caught.value), "a folder of the user's, which a report would show"
    assert set(threading.enumerate()) <= before
