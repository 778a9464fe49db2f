"""Long videos, piece by piece: what is done survives a kill, and machines can share the work.

Every segment is made on its own, from a little before its beginning so that the mask is steady by
then: whoever makes it, and whenever, it comes out the same.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import Any

import av
import cv2
import numpy as np
import onnxruntime
from pydantic import TypeAdapter

from seg_stream.engines.models import find_model
from seg_stream.pipeline.effect import VirtualBackground
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.job import Job
from seg_stream.pipeline.runner import RunReport
from seg_stream.pipeline.sinks.contract import Sink
from seg_stream.pipeline.sinks.encoding import CONTAINERS
from seg_stream.pipeline.sinks.matte import MatteSink
from seg_stream.pipeline.sinks.video import VideoSink
from seg_stream.pipeline.sources import Source
from seg_stream.pipeline.sources.container import last_time_s
from seg_stream.pipeline.sources.trim import Look, Part
from seg_stream.pipeline.sources.video import NoPictureError, Promise, VideoSource
from seg_stream.pipeline.stream import Progress, stream
from seg_stream.pipeline.work_folder import Finished, Piece, Store, checksum

LONG_AGO_S = Fraction(10**9)
"""Before any time in a file, and, the other way, after it, in seconds."""

WARM_UP_S = Fraction(1, 2)
"""Seconds before a segment that are read for its first mask's sake; steadying has settled then."""

JOINABLE = frozenset(CONTAINERS) - {".webp"}
"""Files that can be joined without encoding again."""


def versions() -> dict[str, str]:
    """Of everything that may change what comes out."""
    others = {module.__name__: str(module.__version__) for module in (av, cv2, np, onnxruntime)}
    return {"seg-stream": version("seg-stream"), **others}


@dataclass(frozen=True)
class Plan:
    """A long job and where it is cut; everything that a worker needs to know."""

    job: Job
    starts_s: tuple[Fraction, ...]
    """On the file's clock. A segment ends where the next one starts, the last one with the job."""
    look: Look
    """Of the whole video."""
    rate: Fraction
    frames: int | None
    """How many are expected, about."""
    promise: Promise
    """What the file says it holds."""
    versions: dict[str, str]
    """Of the planner's packages; a worker must have the same."""

    @property
    def segments(self) -> int:
        """How many there are."""
        return len(self.starts_s)

    def part(self, index: int) -> Part:
        """What to read for a segment."""
        counted_s = self.starts_s[index]
        trim = self.job.trim
        if index + 1 < len(self.starts_s):
            end_s: Fraction | None = self.starts_s[index + 1]
        else:
            end_s = trim.end_s if trim else None
        if index == 0 and not trim:  # also what a file shows before its own beginning
            counted_s = start_s = -LONG_AGO_S
        else:
            start_s = max(self.starts_s[0], counted_s - WARM_UP_S)
        return Part(start_s, end_s, counted_s, self.look)

    def to_json(self) -> str:
        """The plan as text, for a worker or a later run."""
        return _PLAN.dump_json(self).decode()

    @staticmethod
    def from_json(text: str) -> Plan:
        """Read what `to_json` wrote."""
        return _PLAN.validate_json(text)

    def asked(self) -> str:
        """Everything that decides what comes out, as text; two runs with the same may share."""
        job = replace(self.job, overwrite=False)
        plan: dict[str, Any] = json.loads(replace(self, job=job).to_json())
        plan["model"] = hashlib.sha256(find_model(job.model).read_bytes()).hexdigest()
        plan["input file"] = _state(job.input)
        plan["background file"] = _state(Path(job.background))
        return json.dumps(plan, indent=1, sort_keys=True)


_PLAN = TypeAdapter(Plan)


def _state(path: Path) -> list[int]:
    """What changes when a file does."""
    return [path.stat().st_size, path.stat().st_mtime_ns] if path.is_file() else []


def plan_segments(job: Job, source: Source) -> Plan | None:
    """Cut a job, if it is long enough and of a kind that can be cut and joined."""
    kinds = {target.suffix.lower() for target in job.targets}
    if not (isinstance(source, VideoSource) and job.is_long(source)):
        return None
    if not (source.seekable and kinds <= JOINABLE):
        return None
    start_s = job.trim.start_s if job.trim else Fraction(0)
    claimed_s = LONG_AGO_S if source.length_s is None else source.length_s  # live recordings
    last_s = last_time_s(source.path, start_s + claimed_s)
    length_s = min(claimed_s, (last_s or Fraction(0)) - start_s)
    count = round(length_s / job.segment_s)
    if count < 2:
        return None
    return Plan(
        job.anywhere(),
        tuple(start_s + index * job.segment_s for index in range(count)),
        source.look,
        source.rate,
        source.frames,
        source.promise,
        versions(),
    )


def make_segment(
    plan: Plan,
    index: int,
    store: Store,
    effect: VirtualBackground,
    *,
    stop: Event | None = None,
    progress: Progress | None = None,
) -> tuple[Finished, RunReport]:
    """Make the files of one segment; unless it was stopped, it is noted as finished.

    Raises:
        SegStreamError: see `convert`.
    """
    if plan.versions != versions():
        raise UserError(
            f"This worker has {versions()}, expected {plan.versions}; install the same."
        )
    job, part = plan.job, plan.part(index)
    try:
        source = VideoSource(job.input, job.trim, part, gpu=job.encoding.gpu)
    except NoPictureError as error:  # nothing is shown for so long, or the file is torn
        made = Finished(
            frames=0, time_base=Fraction(1), pieces=[], flaws=error.flaws, notes=error.notes,
            engine="",
        )  # fmt: skip
        store.finish(index, job.targets, made)
        return made, RunReport()
    with ExitStack() as stack:
        stack.enter_context(source)
        effect.restart(max(Fraction(0), source.begin_s - plan.starts_s[0]))
        videos = []
        for number in range(len(job.targets)):
            videos.append(_open_piece(plan, store, source, index, number))
            stack.callback(videos[-1].discard)  # what is finished is not touched by it
        tail = stack.enter_context(_Tail(videos, source, part.counted_s))

        def count(report: RunReport, frames: int | None) -> None:
            if progress:
                progress(replace(report, items=tail.frames), frames)

        summary = stream(source, effect, [tail], stop=stop, progress=count)
        tail.cut_short = summary.stopped
    flaws = replace(source.flaws, unseen=0 if index else source.flaws.unseen)
    pieces = []
    for number, video in enumerate(videos if tail.frames else []):
        crc32 = checksum(store.file(index, job.targets[number], number))
        pieces.append(Piece(crc32=crc32, packet_pts=video.packet_pts))
    made = Finished(
        frames=tail.frames, time_base=source.time_base, pieces=pieces, flaws=flaws,
        notes=[*summary.notes, *tail.notes], engine=summary.engine,
    )  # fmt: skip
    if not summary.stopped:
        store.finish(index, job.targets, made)
    return made, replace(summary.run, items=tail.frames)


def _open_piece(
    plan: Plan, store: Store, source: VideoSource, index: int, number: int
) -> VideoSink:
    """The video of one segment, without sound; the second one holds the matte."""
    job, target = plan.job, plan.job.targets[number]
    return VideoSink(
        store.file(index, target, number),
        source.rate,
        sample_aspect_ratio=source.sample_aspect_ratio,
        encoding=job.encoding if number == 0 else None,
        transparent=job.transparent and number == 0,
        look=plan.look if number == 0 else None,
        shown_as=target,
        overwrite=True,
    )


class _Tail(Sink):
    """Hands on the frames from a time on; those before it were for the mask's sake."""

    def __init__(self, videos: list[VideoSink], source: VideoSource, begin_s: Fraction) -> None:
        super().__init__()
        self._sinks: list[Sink] = [videos[0], *(MatteSink(video) for video in videos[1:])]
        self._source, self._begin_s = source, begin_s
        self.frames = 0

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        if self._source.time_s(frame) >= self._begin_s:
            self.frames += 1
            for sink in self._sinks:
                sink.write(frame)

    def finish(self) -> None:
        """See `Sink.finish`."""
        for sink in self._sinks:
            if not self.frames:
                sink.discard()
                continue
            sink.cut_short = self.cut_short
            sink.finish()
            self.notes += sink.notes

    def discard(self) -> None:
        """See `Sink.discard`."""
        for sink in self._sinks:
            sink.discard()
