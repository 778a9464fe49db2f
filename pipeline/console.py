"""What the `seg-stream` command shows: progress, notes, the last line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from seg_stream.pipeline.batch import BatchSummary
from seg_stream.pipeline.job import Job
from seg_stream.pipeline.runner import RunReport
from seg_stream.pipeline.stream import Summary

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


def watched() -> bool:
    """Whether a person sees what is said."""
    return sys.stderr is not None and sys.stderr.isatty()


def say(text: str) -> None:
    """Print a line beside the results; progress bars make room for it."""
    if sys.stderr is not None:  # it is where the caller closed it, and in a window's program
        print(text, file=sys.stderr)


def complain(message: str) -> None:
    """Say what went wrong."""
    plainly = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    red, plain = ("\x1b[31m", "\x1b[0m") if watched() and not plainly else ("", "")
    say(f"{red}Error:{plain} {message}")


class Bars:
    """A progress bar for each file that is being converted and, for several, one for all."""

    def __init__(self, progress: Progress | None, files: int) -> None:
        self._progress = progress
        self._all: TaskID | None = None
        if progress and files > 1:
            self._all = progress.add_task("files", total=files, fps="")

    @contextmanager
    def of(self, job: Job) -> Iterator[Callable[[RunReport, int | None], None] | None]:
        """Show a bar while a job is done; call what it gives with the runner's reports."""
        progress = self._progress
        if progress is None:
            yield None
            return
        task = progress.add_task(job.input.name, total=None, fps="")

        def show(report: RunReport, frames: int | None) -> None:
            total = None if frames is None else max(frames, report.items)
            fps = f"{report.fps:.1f} fps"
            progress.update(task, completed=report.items, total=total, fps=fps)

        try:
            yield show
        finally:
            progress.remove_task(task)

    def count(self) -> None:
        """Count a file."""
        if self._progress and self._all is not None:
            self._progress.advance(self._all)


@contextmanager
def bars(files: int = 1) -> Iterator[Bars]:
    """Show bars while the context lasts, if a person is watching."""
    if not watched():
        yield Bars(None, files)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[fps]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True, highlight=False),
        transient=True,
    ) as progress:
        yield Bars(progress, files)


def report(summary: Summary, output: Path | None) -> None:
    """Say the notes and, in one line, what was done by what, and how fast."""
    for note in summary.notes:
        say(f"Note: {note}")
    run = summary.run
    stages = ", ".join(f"{name} {run.mean_ms(name):.1f}" for name in run.busy_s)
    each = f", ms a frame: {stages}" if stages else ""
    where = f" -> {output}" if output else ""
    resumed = f" and {summary.resumed} done before" if summary.resumed else ""
    say(f"{run.items} frames{resumed}, {run.fps:.1f} fps{each}; {summary.engine}{where}")


def report_batch(summary: BatchSummary) -> None:
    """Name what failed or was left out; the others were reported one by one."""
    for outcome in summary.of("failed"):
        say(f"Failed: {outcome.job.input}: {outcome.why}")
    for outcome in summary.of("stopped"):
        if outcome.why:
            say(outcome.why)
    counts = [f"{len(summary.of('done'))} converted"]
    for state, words in (
        ("skipped", "there already"),
        ("stopped", "not done"),
        ("failed", "failed"),
    ):
        if found := summary.of(state):
            counts.append(f"{len(found)} {words}")
    say(f"{', '.join(counts)}.")


def as_json(summary: Summary, output: Path | None) -> dict[str, object]:
    """The figures of a run in plain values, for scripts."""
    run = summary.run
    return {
        "output": str(output) if output else None,
        "frames": summary.frames,
        "resumed": summary.resumed,
        "fps": round(run.fps, 3),
        "seconds": round(run.wall_s, 3),
        "stage_ms": {name: round(run.mean_ms(name), 3) for name in run.busy_s},
        "engine": summary.engine,
        "stopped": summary.stopped,
        "notes": summary.notes,
    }
