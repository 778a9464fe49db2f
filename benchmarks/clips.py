"""The clip that is converted if none is given: the sample's portrait at any size, with noise."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from seg_stream.benchmarks.schema import Clip
from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.sample import read_portrait, view
from seg_stream.pipeline.sinks.video import VideoSink
from seg_stream.pipeline.sources.video import VideoSource

RATE = 30
NOISE = 3.0
"""Standard deviation of each pixel: a webcam's picture is not smooth, and costs its encoder more
than a smooth one."""


def render_clip(path: Path, width: int, height: int, frames: int) -> Path:
    """Write a clip; it has the same pictures everywhere.

    Raises:
        UserError: scikit-image is missing.
    """
    portrait_bgr = read_portrait()
    grains = np.random.default_rng(11).normal(0, NOISE, (4, height, width, 3)).astype(np.int8)
    with VideoSink(path, Fraction(RATE), overwrite=True) as sink:
        for index in range(frames):
            seen = view(portrait_bgr, index / RATE)
            seen_bgr = cv2.resize(seen, (width, height), interpolation=cv2.INTER_CUBIC)
            noisy = cv2.add(seen_bgr, grains[index % 4], dtype=cv2.CV_8U)
            picture = np.asarray(noisy, np.uint8)
            times = index, Fraction(1, RATE), perf_counter()
            sink.write(Frame(index, (picture,), "bgr24", Colour(), *times))
    return path


def describe_clip(path: Path) -> Clip:
    """Say what a clip is.

    Raises:
        UserError: it is no video.
    """
    with VideoSource(path) as source:
        return Clip(
            name=path.stem,
            width=source.width,
            height=source.height,
            frames=source.frames or 0,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
