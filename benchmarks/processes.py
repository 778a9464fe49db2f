"""Run one command to its end and learn what it took."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seg_stream.benchmarks.gpu_load import GpuLoad
from seg_stream.pipeline.errors import SegStreamError

WRAPPER = Path(__file__).parent / "measured.py"

LONGEST_S = 1800


@dataclass(frozen=True)
class Taken:
    """What a process took, from its start to its end; `start_s` is `perf_counter` at its start."""

    start_s: float
    wall_s: float
    cpu_s: float | None
    memory_mib: float | None
    said: dict[str, Any]
    """The JSON object that it printed."""
    gpu_percent: float | None = None
    gpu_memory_mib: float | None = None
    """Of the GPU meanwhile; see `GpuLoad`."""


def run_module(module: str, *arguments: str | Path) -> Taken:
    """Run a module of this package in a process of its own.

    Raises:
        SegStreamError: it failed.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with GpuLoad() as gpu:
        result = subprocess.run(
            [sys.executable, "-I", "-S", str(WRAPPER), *command],
            capture_output=True, text=True, timeout=LONGEST_S, check=False,
        )  # fmt: skip
    if result.returncode:
        words = (result.stderr.strip() or result.stdout.strip() or "nothing was said").splitlines()
        raise SegStreamError(f"{module.rpartition('.')[2]} failed: {words[-1]}")
    text, _, figures = result.stdout.rstrip().rpartition("\n")
    begin = text.find("{")
    return Taken(
        **json.loads(figures),
        said=json.loads(text[begin:]) if begin >= 0 else {},
        gpu_percent=gpu.percent,
        gpu_memory_mib=gpu.memory_mib,
    )
