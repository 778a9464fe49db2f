"""Many files in one go: each is converted on its own, and a failed one does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Literal

from seg_stream.pipeline.conversion import Summary
from seg_stream.pipeline.errors import SegStreamError, Stopped, UserError
from seg_stream.pipeline.sinks.encoding import CONTAINERS
from seg_stream.pipeline.sinks.images import TRANSPARENT as ALPHA_PICTURES
from seg_stream.pipeline.sources.images import SUFFIXES

VIDEOS = frozenset(
    {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".ts", ".mts", ".mpg", ".mpeg", ".wmv",
     ".flv", ".3gp", ".ogv", ".264", ".h264", ".265", ".hevc"}
)  # fmt: skip
"""What is taken for a video in a folder."""


@dataclass(frozen=True)
class Task:
    """One file and where its result goes."""

    input: Path
    output: Path


@dataclass
class Outcome:
    """What became of a task; `why` is the error's sentence."""

    task: Task
    state: Literal["done", "skipped", "failed", "stopped"]
    why: str = ""
    summary: Summary | None = None
    our_fault: bool = False


@dataclass
class BatchSummary:
    """What became of all tasks, in their order."""

    outcomes: list[Outcome] = field(default_factory=list)

    def of(self, state: str) -> list[Outcome]:
        """The outcomes of one state."""
        return [outcome for outcome in self.outcomes if outcome.state == state]


def is_batch(inputs: Sequence[Path]) -> bool:
    """Whether the inputs are several files or a folder that holds videos.

    A folder of pictures alone is one input: its pictures are one sequence.
    """
    return len(inputs) > 1 or (
        inputs[0].is_dir() and any(_wanted(path, VIDEOS) for path in inputs[0].iterdir())
    )


def plan(inputs: Sequence[Path], output: Path, suffix: str | None = None) -> list[Task]:
    """Name the result of every file: its own name in the output folder.

    Args:
        inputs: files, or folders whose videos and pictures are taken.
        output: the folder of the results.
        suffix: of the videos' results, if they are to be transparent; by default their own if it
            can be written, else `.mp4`.

    Raises:
        UserError: there is nothing to do, two results would have the same name, or the output is
            a file or one of the inputs.
    """
    files: list[Path] = []
    for path in inputs:
        if path.is_dir():
            if output.exists() and path.samefile(output):
                raise UserError(f"{output} is the input folder itself; name another for --output.")
            known = VIDEOS | SUFFIXES
            files += sorted(p for p in path.iterdir() if _wanted(p, known))
        else:
            files.append(path)
    if not files:
        raise UserError(f"{', '.join(map(str, inputs))}: there is no video or picture in it.")
    if output.is_file() or output.suffix.lower() in CONTAINERS.keys() | SUFFIXES:
        raise UserError(f"{output} is one file, but there are several inputs; name a folder.")
    stems = [path.stem for path in files]
    tasks = [
        Task(path, output / _name(path, suffix, clash=stems.count(path.stem) > 1)) for path in files
    ]
    names = [task.output for task in tasks]
    sources = {path.resolve() for path in files}
    for task in tasks:
        if task.output.resolve() in sources:
            raise UserError(
                f"{task.output} is one of the inputs; name another folder for --output."
            )
        if names.count(task.output) > 1:
            raise UserError(
                f"Two inputs would be written to {task.output}; convert them into two folders."
            )
    return tasks


def _wanted(path: Path, kinds: frozenset[str]) -> bool:
    """Whether it is a file of these kinds, and neither hidden nor left over by a kill."""
    return path.suffix.lower() in kinds and not path.name.startswith(".") and path.is_file()


def _name(path: Path, suffix: str | None, clash: bool) -> str:
    own = path.suffix.lower()
    if own in SUFFIXES:
        return path.name if suffix is None or own in ALPHA_PICTURES else f"{path.stem}.png"
    ending = suffix or (own if own in CONTAINERS else ".mp4")
    return (path.name if clash and ending != own else path.stem) + ending


def run_batch(
    tasks: Sequence[Task],
    convert_one: Callable[[Task], Summary],
    *,
    overwrite: bool = False,
    stop: Event | None = None,
    begin: Callable[[Task], None] | None = None,
    end: Callable[[Outcome], None] | None = None,
) -> BatchSummary:
    """Convert one after the other; what is there already is skipped, unless `overwrite`.

    Args:
        tasks: what to do.
        convert_one: converts one file; its errors are kept in the outcome.
        overwrite: convert also what is there.
        stop: set it to end after the current file, which `convert_one` may cut short.
        begin: called before each file.
        end: called after it.
    """
    result = BatchSummary()
    for task in tasks:
        if stop and stop.is_set():
            outcome = Outcome(task, "stopped")
        elif task.output.exists() and not overwrite:
            outcome = Outcome(task, "skipped")
        else:
            if begin:
                begin(task)
            outcome = _attempt(task, convert_one)
        result.outcomes.append(outcome)
        if end:
            end(outcome)
    return result


def _attempt(task: Task, convert_one: Callable[[Task], Summary]) -> Outcome:
    try:
        summary = convert_one(task)
    except Stopped:
        return Outcome(task, "stopped")
    except UserError as error:
        return Outcome(task, "failed", str(error))
    except (SegStreamError, OSError) as error:
        return Outcome(task, "failed", str(error), our_fault=True)
    return Outcome(task, "done", summary=summary)
