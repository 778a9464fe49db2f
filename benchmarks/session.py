"""The pipeline seen from inside, in a process of its own: each frame from capture to written.

`file`: a clip, as fast as it goes, into a file. A number: a camera of so many frames a second, in
front of nothing but a clock; its pictures are in memory before it starts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from time import perf_counter, process_time, sleep

from seg_stream.benchmarks.processes import run_module
from seg_stream.benchmarks.schema import Distribution, Sample, Session
from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.effect import VirtualBackground
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.job import Job, open_effect
from seg_stream.pipeline.outputs import SinkOptions, open_sink
from seg_stream.pipeline.picture import to_bgr
from seg_stream.pipeline.sinks.contract import Sink
from seg_stream.pipeline.sources import Source, open_file
from seg_stream.pipeline.sources.video import VideoSource
from seg_stream.pipeline.stream import Summary, stream
from seg_stream.pipeline.types import Image

BURN_IN_S = 1.0
"""Frames that come earlier after the first one do not count."""

PICTURES = 24
FILE = "file"


class PacedCamera(Source):
    """Shows pictures forth and back at a steady rate; a frame counts from when it is due."""

    live = True

    def __init__(self, pictures_bgr: list[Image], rate: int, seconds: float) -> None:
        super().__init__()
        self.name = f"paced source, {rate} fps"
        self.height, self.width = pictures_bgr[0].shape[:2]
        self.rate, self.time_base = Fraction(rate), Fraction(1, rate)
        self.frames = round(seconds * rate)
        self._pictures = pictures_bgr + pictures_bgr[-2:0:-1]

    def __iter__(self) -> Iterator[Frame]:
        start_s = perf_counter()
        for index in range(self.frames or 0):
            due_s = start_s + index / float(self.rate)
            if (wait_s := due_s - perf_counter()) > 0:
                sleep(wait_s)
            picture = self._pictures[index % len(self._pictures)]
            yield Frame(index, (picture,), "bgr24", Colour(), index, self.time_base, due_s)

    def close(self) -> None:
        """Nothing is held."""


class Clock(Sink):
    """Stamps every frame, after another sink has taken it if there is one."""

    def __init__(self, inner: Sink | None = None, stop: Event | None = None) -> None:
        super().__init__()
        self._inner, self._stop = inner, stop
        self.stamps = list[tuple[float, float]]()
        """When a frame was captured and when it was written."""
        self.cpu_s = list[float]()
        """The process's time on processors when it was written."""

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        if self._inner:
            self._inner.write(frame)
        self.stamps.append((frame.captured_s, perf_counter()))
        self.cpu_s.append(process_time())
        if self._stop:
            self._stop.set()

    def finish(self) -> None:
        """See `Sink.finish`."""
        if self._inner:
            self._inner.finish()

    def discard(self) -> None:
        """See `Sink.discard`."""
        if self._inner:
            self._inner.discard()


def measure_session(
    clip: Path, background: Path, model: str, kind: str, *, rounds: int, seconds: float
) -> Session:
    """Run sessions, each in a process of its own; the latencies are those of the last.

    Raises:
        SegStreamError: one failed.
    """
    runs = [
        run_module(__name__, clip, background, model, kind, str(seconds)) for _ in range(rounds)
    ]
    said = [run.said for run in runs]
    memory = [run.memory_mib for run in runs if run.memory_mib is not None]
    last = said[-1]
    return Session(
        clip=clip.stem,
        kind=kind if kind == FILE else f"live {kind} fps",
        fps=Sample.of("fps", [one["fps"] for one in said]),
        latency=Distribution.of(
            "ms", [ms for one in said for ms in one["latency_ms"][one["begin"] :]]
        ),
        latency_ms=[round(ms, 2) for ms in last["latency_ms"]],
        dropped=sum(one["dropped"] for one in said),
        frames=sum(one["frames"] for one in said),
        cpu=Sample.of("cores", [one["cores"] for one in said]),
        memory=Sample.of("MiB", memory) if memory else None,
        cold_start=Sample.of("s", [run.said["cold_at_s"] - run.start_s for run in runs]),
        warm_start=Sample.of("s", [one["warm_s"] for one in said]),
        stage_ms={
            stage: Sample.of("ms", [one["stage_ms"][stage] for one in said])
            for stage in last["stage_ms"]
        },
    )


@dataclass(frozen=True)
class _Run:
    """One session: a file, or a camera with pictures."""

    job: Job
    pictures_bgr: list[Image]
    rate: int
    seconds: float

    def __call__(self, stop: Event | None = None) -> tuple[Summary, Clock]:
        """Run it to its end or, with an event, to its first frame."""
        with ExitStack() as stack:
            inner = None
            if self.rate:
                camera = PacedCamera(self.pictures_bgr, self.rate, self.seconds)
                source: Source = stack.enter_context(camera)
                job = self.job
                effect = stack.enter_context(VirtualBackground(job.background, model=job.model))
            else:
                source = stack.enter_context(open_file(self.job.input))
                effect = stack.enter_context(open_effect(self.job))
                inner = open_sink(source, self.job.output, SinkOptions(overwrite=True))
            clock = stack.enter_context(Clock(inner, stop))
            return stream(source, effect, [clock], stop=stop), clock


def main() -> int:
    """Run once: CLIP BACKGROUND MODEL KIND SECONDS; prints JSON, returns the exit code."""
    clip, background, model, kind, seconds = sys.argv[1:]
    rate = 0 if kind == FILE else int(kind)
    pictures = list[Image]()
    loading_s = perf_counter()
    if rate:
        with VideoSource(Path(clip)) as video:
            pictures = [to_bgr(frame) for frame in islice(video, PICTURES)]
    loading_s = perf_counter() - loading_s
    with TemporaryDirectory() as folder:
        job = Job(Path(clip), Path(folder, "out.mp4"), background, model, overwrite=True)
        run = _Run(job, pictures, rate, float(seconds))
        summary, clock = run()
        again_s = perf_counter()
        _, again = run(Event())
    begin_s = clock.stamps[0][1] + BURN_IN_S
    begin = next((i for i, (_, out_s) in enumerate(clock.stamps) if out_s >= begin_s), 0)
    if len(clock.stamps) - begin < 2:
        begin = 0  # it is too short for a burn-in
    counted = clock.stamps[begin:]
    wall_s = max(counted[-1][1] - counted[0][1], 1e-9)
    report = summary.run
    print(
        json.dumps(
            {
                "fps": (len(counted) - 1) / wall_s,
                "latency_ms": [1000 * (out_s - in_s) for in_s, out_s in clock.stamps],
                "begin": begin,
                "dropped": report.dropped,
                "frames": report.items,
                "cores": (clock.cpu_s[-1] - clock.cpu_s[begin]) / wall_s,
                "cold_at_s": clock.stamps[0][1] - loading_s,
                "warm_s": again.stamps[0][1] - again_s,
                "stage_ms": {name: report.mean_ms(name) for name in report.busy_s},
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
