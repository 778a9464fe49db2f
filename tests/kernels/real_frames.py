"""Pictures of people, in any size and format, with rows that lie apart in memory."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.frame import Frame, PixelFormat
from seg_stream.pipeline.picture import bgr_to_planes

CLIPS = Path(__file__).parents[2].parent / "shared" / "data" / "clips"


@cache
def picture_bgr(clip: str = "desk_1080p30.mp4", index: int = 0) -> npt.NDArray[Any]:
    """A frame of a clip, or where there are none the astronaut of scikit-image."""
    path = CLIPS / clip
    if path.is_file():
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number == index:
                    return frame.to_ndarray(format="bgr24")
    data = pytest.importorskip("skimage.data", reason="needs shared/data or scikit-image")
    turned = np.roll(data.astronaut(), 4 * index, axis=1)
    return np.ascontiguousarray(turned[:, :, ::-1])


def real_frame(
    format: PixelFormat,
    width: int,
    height: int,
    *,
    index: int = 0,
    colour: Colour | None = None,
    still: bool = False,
) -> Frame:
    from fractions import Fraction

    colour = colour or Colour()
    image = cv2.resize(picture_bgr(index=index), (width, height), interpolation=cv2.INTER_AREA)
    planes = tuple(map(_apart, bgr_to_planes(np.ascontiguousarray(image), format, colour)))
    return Frame(index, planes, format, colour, index, Fraction(1, 25), 0.0, still)


def _apart(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same pixels with 13 bytes more from row to row."""
    height, width = plane.shape[:2]
    channels = plane.shape[2] if plane.ndim == 3 else 1
    rows = np.zeros((height, width * channels + 13), np.uint8)[:, : width * channels]
    rows = rows.reshape(plane.shape)
    np.copyto(rows, plane)
    rows.flags.writeable = False
    return rows
