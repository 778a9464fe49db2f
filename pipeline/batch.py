"""Many files in one go: each is converted on its own, and a failed one does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Literal

from seg_stream.pipeline.errors import SegStreamError, Stopped, UserError
from seg_stream.pipeline.job import Job
from seg_stream.pipeline.sinks.encoding import CONTAINERS
from seg_stream.pipeline.sinks.images import TRANSPARENT as ALPHA_PICTURES
from seg_stream.pipeline.sources.images import SUFFIXES
from seg_stream.pipeline.stream import Summary

VIDEOS = frozenset(
    {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".ts", ".mts", ".mpg", ".mpeg", ".wmv",
     ".flv", ".3gp", ".ogv", ".264", ".h264", ".265", ".hevc"}
)  # fmt: skip
"""What is taken for a video in a folder."""


@dataclass
class Outcome:
    """What became of a job; `why` is the error's sentence."""

    job: Job
    state: Literal["done", "skipped", "failed", "stopped"]
    why: str = ""
    summary: Summary | None = None
    our_fault: bool = False


@dataclass
class BatchSummary:
    """What became of all jobs, in their order."""

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


def plan(inputs: Sequence[Path], wanted: Job) -> list[Job]:
    """Name the result of every file: its own name in the output folder.

    A video keeps its kind if it can be written, else it becomes `.mp4`; a transparent one `.mov`.

    Args:
        inputs: files, or folders whose videos and pictures are taken.
        wanted: what to do with each; its output is the folder of the results.

    Raises:
        UserError: there is nothing to do, two results would have the same name, or the output is
            a file or one of the inputs.
    """
    output, suffix = wanted.output, ".mov" if wanted.transparent else None
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
    jobs = [
        replace(
            wanted,
            input=path,
            output=output / _name(path, suffix, clash=stems.count(path.stem) > 1),
        )
        for path in files
    ]
    names = [job.output for job in jobs]
    sources = {path.resolve() for path in files}
    for job in jobs:
        if job.output.resolve() in sources:
            raise UserError(f"{job.output} is one of the inputs; name another folder for --output.")
        if names.count(job.output) > 1:
            raise UserError(
                f"Two inputs would be written to {job.output}; convert them into two folders."
            )
    return jobs


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
    jobs: Sequence[Job],
    convert: Callable[[Job], Summary],
    *,
    at_once: int = 1,
    stop: Event | None = None,
    end: Callable[[Outcome], None] | None = None,
) -> BatchSummary:
    """Do all; what is there already is skipped, unless it may be overwritten.

    Args:
        jobs: what to do.
        convert: does one; its errors are kept in the outcome.
        at_once: how many are under way at a time, each in a thread of its own.
        stop: set it to end after the current files, which `convert` may cut short.
        end: called after each, in the caller's thread, in the order of the jobs.
    """

    def attempt(job: Job) -> Outcome:
        if stop and stop.is_set():
            return Outcome(job, "stopped")
        if job.output.exists() and not job.overwrite:
            return Outcome(job, "skipped")
        return _attempt(job, convert)

    result = BatchSummary()
    with ThreadPoolExecutor(at_once) if at_once > 1 else nullcontext() as pool:
        for outcome in (pool.map if pool else map)(attempt, jobs):
            result.outcomes.append(outcome)
            if end:
                end(outcome)
    return result


def _attempt(job: Job, convert: Callable[[Job], Summary]) -> Outcome:
    try:
        summary = convert(job)
    except Stopped as stopped:
        return Outcome(job, "stopped", str(stopped))
    except UserError as error:
        return Outcome(job, "failed", str(error))
    except (SegStreamError, OSError) as error:
        return Outcome(job, "failed", str(error), our_fault=True)
    except Exception as error:  # the others are to be done all the same
        return Outcome(job, "failed", f"{type(error).__name__}: {error}", our_fault=True)
    return Outcome(job, "done", summary=summary)
