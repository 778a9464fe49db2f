"""Every stage alone, on the same frames, with nothing else running.

`prepare`, `infer` and `composite` are the pipeline's own; `matte`, `background` and `blend` are
what `composite` consists of. `read` and `write` are the codecs with the threads that they have in a
conversion, so that their time is that of a frame among many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
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
    read, write = list[float](), list[float]()
    passes = list[dict[str, list[float]]]()
    with one_opencv_thread(), VirtualBackground(background, model=model, threads=threads) as effect:
        for _ in range(1 + rounds):
            read.append(_read_ms(clip))
            write.append(_write_ms(frames, rate))
            passes.append(_pass(effect, background, frames))
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
    found = [StageTime(clip=name, stage="read", time=Sample.of("ms", read[1:]))]
    for stage in passes[0]:
        part_of = "composite" if stage in ("matte", "background", "blend") else None
        floor_ms: float | None = floors.get(stage, 0) / (ceiling.copy_rate.median * 1e6)
        found.append(
            StageTime(
                clip=name,
                stage=stage,
                part_of=part_of,
                time=Sample.of("ms", [median(one[stage]) for one in passes[1:]]),
                frames=Distribution.of("ms", [ms for one in passes[1:] for ms in one[stage]]),
                floor_ms=network_floor_ms if stage == "infer" else round(floor_ms or 0, 4) or None,
            )
        )
    found.append(StageTime(clip=name, stage="write", time=Sample.of("ms", write[1:])))
    return found


def _pass(
    effect: VirtualBackground, background: str, frames: Sequence[Frame]
) -> dict[str, list[float]]:
    """Every stage over all frames, one stage after the other; milliseconds a frame."""
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


def _timed(call: Callable[[Any], Any], items: Sequence[Any]) -> tuple[list[Any], list[float]]:
    results, times = [], []
    for item in items:
        start_s = perf_counter()
        results.append(call(item))
        times.append(1000 * (perf_counter() - start_s))
    return results, times


def _read_ms(clip: Path) -> float:
    start_s = perf_counter()
    with VideoSource(clip) as source:
        count = sum(1 for _ in islice(source, 3 * FRAMES))
    return 1000 * (perf_counter() - start_s) / count


def _write_ms(frames: Sequence[Frame], rate: Any) -> float:
    with TemporaryDirectory() as folder:
        start_s = perf_counter()
        with VideoSink(Path(folder, "out.mp4"), rate) as sink:
            for frame in frames:
                sink.write(frame)
        return 1000 * (perf_counter() - start_s) / len(frames)
