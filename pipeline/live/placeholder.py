"""What is shown instead of the room: a plain picture that holds nothing of any frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.frame import PixelFormat
from seg_stream.pipeline.picture import bgr_to_planes
from seg_stream.pipeline.types import Image

GREY_BGR = (58, 52, 48)
INK_BGR = (190, 186, 182)


@dataclass(frozen=True)
class Kind:
    """What all frames that leave a session are like."""

    width: int
    height: int
    format: PixelFormat
    colour: Colour


@lru_cache(maxsize=16)
def placeholder(kind: Kind, text: str) -> tuple[Image, ...]:
    """The planes of a grey picture with a short word in its middle; they are not to be changed."""
    image_bgr = np.full((kind.height, kind.width, 3), GREY_BGR, np.uint8)
    scale = kind.height / 500
    thickness = max(1, round(2 * scale))
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    place = ((kind.width - width) // 2, (kind.height + height) // 2)
    cv2.putText(
        image_bgr, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, INK_BGR, thickness, cv2.LINE_AA
    )
    return bgr_to_planes(image_bgr, kind.format, kind.colour)
