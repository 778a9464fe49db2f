"""Render a short sample clip: a public-domain portrait as a hand-held camera would see it.

The portrait is scikit-image's `astronaut`: Eileen Collins, photographed by NASA, public domain.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.sinks.video import VideoSink
from seg_stream.pipeline.types import Image

WIDTH, HEIGHT, RATE = 640, 480, 25


def render(path: Path, seconds: float = 4.0) -> None:
    """Write the clip; its sway repeats every four seconds.

    Raises:
        UserError: scikit-image is missing, or the file cannot be written.
    """
    portrait_bgr = read_portrait()
    with VideoSink(path, Fraction(RATE), overwrite=True) as sink:
        for index in range(round(seconds * RATE)):
            image = view(portrait_bgr, index / RATE)
            time_base = Fraction(1, RATE)
            sink.write(Frame(index, (image,), "bgr24", Colour(), index, time_base, perf_counter()))


def read_portrait() -> Image:
    """The portrait, uint8 (512, 512, 3) BGR.

    Raises:
        UserError: scikit-image is not installed.
    """
    try:
        from skimage import data
    except ImportError:
        raise UserError(
            "The sample portrait comes with scikit-image; pip install scikit-image."
        ) from None
    return np.ascontiguousarray(data.astronaut()[:, :, ::-1])  # type: ignore[no-untyped-call]


def view(portrait_bgr: Image, time_s: float) -> Image:
    """What the camera sees at a time: (HEIGHT, WIDTH, 3), a slow sway, roll and breathing zoom."""
    phase = 2 * np.pi * time_s / 4
    zoom = 1.36 + 0.04 * np.sin(phase)
    roll = 1.5 * np.sin(2 * phase + 1)
    matrix = cv2.getRotationMatrix2D((256, 256), roll, zoom)
    matrix[:, 2] += (
        WIDTH / 2 - 256 + 14 * np.sin(phase + 2),
        HEIGHT / 2 - 256 + 60 + 8 * np.sin(2 * phase),
    )
    return np.asarray(
        cv2.warpAffine(
            portrait_bgr,
            matrix,
            (WIDTH, HEIGHT),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT_101,
        ),
        np.uint8,
    )


if __name__ == "__main__":
    try:
        render(Path(sys.argv[1]))
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
