"""Hot functions against a piece of reference work in the same process, one after the other.

The smallest processor time of many is compared, which a busy machine hardly changes. The limits
are about twice what was found, so that only a blunder fails: a copy too many, a float64, a quick
way that is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from time import thread_time
from typing import Any

import cv2
import numpy as np
import pytest

from seg_stream.engines.models import DEFAULT
from seg_stream.engines.select import open_engine
from seg_stream.pipeline.backgrounds import BlurBackground
from seg_stream.pipeline.blend import blend
from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.matte import Matte
from seg_stream.pipeline.prepare import prepare
from seg_stream.pipeline.stream import one_opencv_thread

benchmark_plugin = pytest.importorskip("pytest_benchmark", reason="needs pytest-benchmark")

ROUNDS = 25
WIDTH, HEIGHT = 1280, 720

Benchmark = Any


def make_frame() -> Frame:
    """A smooth room with some noise, 720p."""
    random = np.random.default_rng(2)
    planes = tuple(
        np.clip(random.normal(110, 8, size), 0, 255).astype(np.uint8)
        for size in ((HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2), (HEIGHT // 2, WIDTH // 2))
    )
    return Frame(0, planes, "yuv420p", Colour(), 0, Fraction(1, 30), 0.0)


def make_mask() -> np.ndarray:
    """A person's disc with a soft edge, (160, 256)."""
    y, x = np.mgrid[0:160, 0:256]
    far = np.hypot(x - 128, y - 90) - 55
    return np.clip(0.5 - far / 8, 0, 1).astype(np.float32)


FRAME, MASK = make_frame(), make_mask()
ALPHA = np.asarray(cv2.resize(MASK, (WIDTH, HEIGHT)), np.float32)


def reference_s() -> float:
    """One luma plane through float32 and back, as a careless stage would: the best of some."""
    luma = FRAME.planes[0]
    best = float("inf")
    for _ in range(ROUNDS):
        start = thread_time()
        np.rint(luma.astype(np.float32) * np.float32(0.9) + np.float32(3)).astype(np.uint8)
        best = min(best, thread_time() - start)
    return best


def hot_prepare() -> Callable[[], object]:
    engine = open_engine("auto", DEFAULT, threads=1)
    spec, info = engine.input, engine.info
    return lambda: prepare(replace(FRAME), spec, info)


def hot_matte() -> Callable[[], object]:
    matte = Matte()
    return lambda: matte(MASK, replace(FRAME))


def hot_blend() -> Callable[[], object]:
    room = tuple(np.full_like(plane, 90) for plane in FRAME.planes)
    return lambda: blend(FRAME.planes, ALPHA, room)


def hot_blur() -> Callable[[], object]:
    room = BlurBackground()
    return lambda: room.planes(replace(FRAME), ALPHA)


@pytest.mark.benchmark(timer=thread_time)
@pytest.mark.parametrize(
    ("make", "limit"),
    [(hot_prepare, 5.0), (hot_matte, 13.0), (hot_blend, 16.0), (hot_blur, 12.0)],
    ids=["prepare", "matte", "blend", "blur"],
)
def test_it_costs_no_more_than_so_many_references(
    make: Callable[[], Callable[[], object]], limit: float, benchmark: Benchmark
) -> None:
    call = make()
    with one_opencv_thread():
        before_s = reference_s()
        benchmark.pedantic(call, rounds=ROUNDS, warmup_rounds=3)
        unit_s = min(before_s, reference_s())
    ratio = benchmark.stats.stats.min / unit_s
    benchmark.extra_info["ratio"] = round(ratio, 3)
    assert ratio < limit, f"{ratio:.2f} times the reference, at most {limit} were expected"
