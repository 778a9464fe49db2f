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
from seg_stream.pipeline.backgrounds import BLUR, open_background
from seg_stream.pipeline.blend import blend
from seg_stream.pipeline.effect import VirtualBackground
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.matte import Matte
from seg_stream.pipeline.prepare import prepare
from seg_stream.pipeline.sinks.video import VideoSink
from seg_stream.pipeline.sources.video import VideoSource
from seg_stream.pipeline.stream import one_opencv_thread

FRAMES = 30


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
    with one_opencv_thread(), VirtualBackground(background, model=model, threads=threads) as effect:
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
    floors["composite"] = sum(floors[part] for part in ("matte", "background", "blend"))
    found = []
    for stage in passes[0]:
        runs = [one[stage] for one in passes[1:]]
        calls = [ms for run in runs for ms in run.calls_ms]
        floor_ms = round(floors.get(stage, 0) / (ceiling.copy_rate.median * 1e6), 4) or None
        found.append(
            StageTime(
                clip=name,
                stage=stage,
                part_of="composite" if stage in ("matte", "background", "blend") else None,
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
    matte = Matte()
    with closing(open_background(background)) as room:
        spec, info = effect.engine.input, effect.engine.info
        fresh = [replace(frame) for frame in frames]
        masks = [effect.engine.infer(prepare(frame, spec, info)) for frame in fresh]
        alphas, times["matte"] = _timed(
            lambda pair: matte(*pair), list(zip(masks, fresh, strict=True))
        )
        rooms, times["background"] = _timed(
            lambda pair: room.planes(*pair), list(zip(fresh, alphas, strict=True))
        )
        _, times["blend"] = _timed(
            lambda three: blend(three[0].planes, three[1], three[2]),
            list(zip(fresh, alphas, rooms, strict=True)),
        )
    return times


def _timed(call: Callable[[Any], Any], items: Sequence[Any]) -> tuple[list[Any], _Timed]:
    results, times = [], []
    begin_cpu_s = process_time()
    for item in items:
        start_s = perf_counter()
        results.append(call(item))
        times.append(1000 * (perf_counter() - start_s))
    cpu_ms = 1000 * (process_time() - begin_cpu_s) / len(items)
    return results, _Timed(median(times), cpu_ms, times)


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
