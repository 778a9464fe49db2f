"""The pipeline seen from inside, in a process of its own: each frame from capture to written.

`file`: a clip, as fast as it goes, into a file. A number: a live session with a camera of so many
frames a second.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Event
from time import perf_counter

import av

from seg_stream.benchmarks.paced import PacedFeed, Stamps, first_pictures
from seg_stream.benchmarks.processes import run_module
from seg_stream.benchmarks.schema import Distribution, Sample, Session
from seg_stream.pipeline.errors import SegStreamError
from seg_stream.pipeline.job import Job, open_effect
from seg_stream.pipeline.live.controls import Controls
from seg_stream.pipeline.live.session import LiveSession
from seg_stream.pipeline.live.settings import LiveSettings
from seg_stream.pipeline.outputs import SinkOptions, open_sink
from seg_stream.pipeline.sources import open_file
from seg_stream.pipeline.sources.reconnecting import LiveSource
from seg_stream.pipeline.stream import stream

BURN_IN_S = 1.0
"""Frames that come earlier after the first one do not count."""

FILE = "file"


@dataclass
class Seen:
    """What one session showed; `times_s` are capture and writing of each frame."""

    times_s: list[tuple[float, float]]
    cpu_s: list[float]
    dropped: int
    level: str = ""
    stage_ms: dict[str, float] = field(default_factory=dict)


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
    last = said[-1]
    return Session(
        clip=clip.stem,
        kind=kind if kind == FILE else f"live {kind} fps",
        fps=Sample.of("fps", [one["fps"] for one in said]),
        latency=Distribution.of(
            "ms", [ms for one in said for ms in one["latency_ms"][one["begin"] :]]
        ),
        median_latency=Sample.of("ms", [median(one["latency_ms"][one["begin"] :]) for one in said]),
        latency_ms=[round(ms, 2) for ms in last["latency_ms"]],
        dropped=sum(one["dropped"] for one in said),
        frames=sum(len(one["latency_ms"]) for one in said),
        level=last["level"],
        cpu=Sample.of("cores", [one["cores"] for one in said]),
        memory=Sample.of_known("MiB", [run.memory_mib for run in runs]),
        gpu=Sample.of_known("%", [run.gpu_percent for run in runs]),
        gpu_memory=Sample.of_known("MiB", [run.gpu_memory_mib for run in runs]),
        cold_start=Sample.of("s", [run.said["cold_at_s"] - run.start_s for run in runs]),
        warm_start=Sample.of("s", [one["warm_s"] for one in said]),
        stage_ms={
            stage: Sample.of("ms", [one["stage_ms"][stage] for one in said])
            for stage in last["stage_ms"]
        },
    )


def _file(job: Job, stop: Event | None = None) -> Seen:
    def seen(*_: object) -> None:
        if stop:
            stop.set()

    with (
        open_file(job.input) as source,
        open_effect(job) as effect,
        Stamps(open_sink(source, job.output, SinkOptions(overwrite=True))) as stamps,
    ):
        run = stream(source, effect, [stamps], stop=stop, progress=seen).run
    stage_ms = {name: run.mean_ms(name) for name in run.busy_s}
    return Seen(stamps.times_s, stamps.cpu_s, dropped=0, stage_ms=stage_ms)


def _live(job: Job, pictures: list[av.VideoFrame], rate: int, seconds: float) -> Seen:
    feeds = list[PacedFeed]()

    def connect() -> PacedFeed:
        feeds.append(PacedFeed(pictures, rate))
        return feeds[-1]

    stamps = Stamps()
    controls = Controls(LiveSettings(background=job.background))
    with LiveSource(connect) as source, LiveSession(source, controls, model=job.model) as session:
        session.add_output("out", stamps)
        status = session.run(duration_s=seconds)
    shown = set().union(*(feed.due_s for feed in feeds))
    real = [i for i, (captured_s, _) in enumerate(stamps.times_s) if captured_s in shown]
    times_s = [stamps.times_s[i] for i in real]
    # Of the frames that were due from the first to the last one that was shown.
    due = round((times_s[-1][0] - times_s[0][0]) * rate) + 1 if times_s else 0
    return Seen(times_s, [stamps.cpu_s[i] for i in real], due - len(real), status.level)


def main() -> int:
    """Run once: CLIP BACKGROUND MODEL KIND SECONDS; prints JSON, returns the exit code."""
    clip, background, model, kind, seconds = sys.argv[1:]
    loading_s = perf_counter()
    pictures = [] if kind == FILE else first_pictures(Path(clip))
    loading_s = perf_counter() - loading_s
    with TemporaryDirectory() as folder:
        job = Job(Path(clip), Path(folder, "out.mp4"), background, model, overwrite=True)
        seen = _file(job) if kind == FILE else _live(job, pictures, int(kind), float(seconds))
        again_s = perf_counter()
        again = _file(job, Event()) if kind == FILE else _live(job, pictures, int(kind), 1.0)
    if not seen.times_s or not again.times_s:
        print("not one frame was shown", file=sys.stderr)
        return 1
    begin_s = seen.times_s[0][1] + BURN_IN_S
    begin = next((i for i, (_, out_s) in enumerate(seen.times_s) if out_s >= begin_s), 0)
    if len(seen.times_s) - begin < 2:
        begin = 0  # it is too short for a burn-in
    counted = seen.times_s[begin:]
    wall_s = max(counted[-1][1] - counted[0][1], 1e-9)
    figures = asdict(seen) | {
        "fps": (len(counted) - 1) / wall_s,
        "latency_ms": [1000 * (out_s - in_s) for in_s, out_s in seen.times_s],
        "begin": begin,
        "cores": (seen.cpu_s[-1] - seen.cpu_s[begin]) / wall_s,
        "cold_at_s": seen.times_s[0][1] - loading_s,
        "warm_s": again.times_s[0][1] - again_s,
    }
    print(json.dumps({key: figures[key] for key in figures.keys() - {"times_s", "cpu_s"}}))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SegStreamError as error:
        sys.exit(f"Error: {error}")
