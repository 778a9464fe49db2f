"""Start the command as a user does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Finished = subprocess.CompletedProcess[str]


def command_line(*arguments: str | Path) -> list[str]:
    """The words that start the command with this Python."""
    return [sys.executable, "-m", "seg_stream.pipeline.entry", *map(str, arguments)]


def run_command(
    *arguments: str | Path, cwd: Path, before: Callable[[], None] | None = None
) -> Finished:
    """Run the command to its end, in a folder; `before` runs in the new process."""
    return subprocess.run(
        command_line(*arguments),
        cwd=cwd,
        preexec_fn=before,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def run_bench_command(*arguments: str | Path) -> Finished:
    """Run `seg-bench` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "seg_stream.benchmarks.command", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
