"""Every stage alone, on the same frames, with nothing else running.

`prepare`, `infer` and `composite` are the pipeline's own; `matte`, `background` and `blend` are
what `composite` consists of. `read` and `write` are the codecs with the threads that they have in a
conversion, so that their time is that of a frame among many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

from seg_stream.benchmarks.schema import Ceiling, Distribution, Sample, StageTime
from seg_stream.pipeline.backgrounds import BLUR, Background, open_background
from seg_stream.pipeline.blend import blend
from seg_stream.pipeline.effect import VirtualBackground
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.matte import Matte, MatteSettings
from seg_stream.pipeline.prepare import prepare
from seg_stream.pipeline.sinks.video import VideoSink
from seg_stream.pipeline.sources.video import VideoSource
from seg_stream.pipeline.stream import one_opencv_thread

FRAMES = 30
PARTS = ("matte", "background", "blend")
"""What `composite` consists of."""


def measure_stages(
    clip: Path,
    background: str,
    model: str,
    ceiling: Ceiling,
    *,
    rounds: int,
    threads: int,
    network_floor_ms: float | None = None,
) -> list[StageTime]:
    """Time the stages on the first frames of a clip.

    Args:
        clip: a video.
        background: as for the effect.
        model: as for the effect.
        ceiling: of one thread, for the floors.
        rounds: how often, after once that does not count.
        threads: of the network.
        network_floor_ms: what the network takes at least.
    """
    with VideoSource(clip) as source:
        frames = list(islice(source, FRAMES))
        rate = source.rate
    passes = list[dict[str, _Timed]]()
    looking = MatteSettings(hold=0)  # the frames come again and again, and infer is to be timed
    with (
        one_opencv_thread(),
        VirtualBackground(background, model=model, matte=looking, threads=threads) as effect,
    ):
        for _ in range(1 + rounds):
            read, write = _read(clip), _write(frames, rate)
            passes.append({"read": read, **_pass(effect, background, frames), "write": write})
    name = clip.stem
    pixels = sum(plane.nbytes for plane in frames[0].planes)
    alpha = 4 * frames[0].height * frames[0].width
    floors = {
        "prepare": pixels,  # read once
        "matte": frames[0].luma().nbytes + alpha,
        "background": pixels if background == BLUR else 0,  # others are made once
        "blend": 3 * pixels + alpha,  # person, room and result
    }
    floors["composite"] = sum(floors[part] for part in PARTS)
    found = []
    for stage in passes[0]:
        runs = [one[stage] for one in passes[1:]]
        calls = [ms for run in runs for ms in run.calls_ms]
        floor_ms = round(floors.get(stage, 0) / (ceiling.copy_rate.median * 1e6), 4) or None
        found.append(
            StageTime(
                clip=name,
                stage=stage,
                part_of="composite" if stage in PARTS else None,
                time=Sample.of("ms", [run.median_ms for run in runs]),
                cpu=Sample.of("ms", [run.cpu_ms for run in runs]),
                frames=Distribution.of("ms", calls) if calls else None,
                floor_ms=network_floor_ms if stage == "infer" else floor_ms,
            )
        )
    return found


@dataclass(frozen=True)
class _Timed:
    """A stage over some frames, in milliseconds a frame; of the codecs there is only the mean."""

    median_ms: float
    cpu_ms: float
    calls_ms: list[float]


def _pass(effect: VirtualBackground, background: str, frames: Sequence[Frame]) -> dict[str, _Timed]:
    """Every stage over all frames, one stage after the other."""
    effect.restart()
    items: list[Any] = [replace(frame) for frame in frames]  # without what was kept from before
    times = {}
    for stage in effect.stages:
        items, times[stage.name] = _timed(stage.call, items)
    with closing(open_background(background)) as room:
        times |= _parts(effect, room, frames)
    return times


def _parts(
    effect: VirtualBackground, room: Background, frames: Sequence[Frame]
) -> dict[str, _Timed]:
    """What `composite` does, frame by frame: what one part leaves in the cache the next one has."""
    matte = Matte()
    clocks = {part: _Clock() for part in PARTS}
    for frame in map(replace, frames):
        mask_hw = effect.engine.infer(prepare(frame, effect.engine.input, effect.engine.info))
        with clocks["matte"]:
            alpha_hw = matte(mask_hw, frame)
        with clocks["background"]:
            planes = room.planes(frame, alpha_hw)
        with clocks["blend"]:
            blend(frame.planes, alpha_hw, planes, frame.shrunk)
    return {part: clock.timed() for part, clock in clocks.items()}


class _Clock:
    """Adds up the `with` blocks that it is given."""

    def __init__(self) -> None:
        self._calls_ms = list[float]()
        self._cpu_ms = self._start_s = self._start_cpu_s = 0.0

    def __enter__(self) -> None:
        self._start_s, self._start_cpu_s = perf_counter(), process_time()

    def __exit__(self, *_: object) -> None:
        self._calls_ms.append(1000 * (perf_counter() - self._start_s))
        self._cpu_ms += 1000 * (process_time() - self._start_cpu_s)

    def timed(self) -> _Timed:
        return _Timed(median(self._calls_ms), self._cpu_ms / len(self._calls_ms), self._calls_ms)


def _timed(call: Callable[[Any], Any], items: Sequence[Any]) -> tuple[list[Any], _Timed]:
    """One stage over all items, each result the next stage's item."""
    results, clock = [], _Clock()
    for item in items:
        with clock:
            results.append(call(item))
    return results, clock.timed()


def _read(clip: Path) -> _Timed:
    start_s, begin_cpu_s = perf_counter(), process_time()
    with VideoSource(clip) as source:
        count = sum(1 for _ in islice(source, 3 * FRAMES))
    return _per_frame(start_s, begin_cpu_s, count)


def _write(frames: Sequence[Frame], rate: Fraction) -> _Timed:
    with TemporaryDirectory() as folder:
        start_s, begin_cpu_s = perf_counter(), process_time()
        with VideoSink(Path(folder, "out.mp4"), rate) as sink:
            for frame in frames:
                sink.write(frame)
        return _per_frame(start_s, begin_cpu_s, len(frames))


def _per_frame(start_s: float, begin_cpu_s: float, count: int) -> _Timed:
    took_s, cpu_s = perf_counter() - start_s, process_time() - begin_cpu_s
    return _Timed(1000 * took_s / count, 1000 * cpu_s / count, [])
