"""Colour: which YUV a picture is in, and the way to and from RGB.

Source of the constants: ITU-R BT.601-7, BT.709-6, BT.2020-2; the numbers of the tags are those of
ISO/IEC 23091-2, which FFmpeg uses too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from seg_stream.pipeline.types import FloatImage

UNSPECIFIED = 2
FULL_RANGE = 2
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}


class Matrix(Enum):
    """The luma coefficients (Kr, Kb)."""

    BT601 = (0.299, 0.114)
    BT709 = (0.2126, 0.0722)
    BT2020 = (0.2627, 0.0593)


_MATRIX_OF_TAG = {1: Matrix.BT709, 5: Matrix.BT601, 6: Matrix.BT601, 9: Matrix.BT2020}


@dataclass(frozen=True)
class Colour:
    """The four tags of a video stream, kept as they were read; 2 means "not said"."""

    matrix_tag: int = UNSPECIFIED
    range_tag: int = 0
    primaries_tag: int = UNSPECIFIED
    transfer_tag: int = UNSPECIFIED

    def matrix(self, height: int) -> Matrix:
        """The matrix of the stream, or the one players assume: BT.709 from 720 rows on."""
        assumed = Matrix.BT709 if height >= 720 else Matrix.BT601
        return _MATRIX_OF_TAG.get(self.matrix_tag, assumed)

    @property
    def full_range(self) -> bool:
        """Whether luma uses 0..255 instead of 16..235."""
        return self.range_tag == FULL_RANGE


def yuv_to_rgb(matrix: Matrix, full_range: bool) -> FloatImage:
    """The 3x4 matrix from (Y, U, V, 1), 0..255 each, to (R, G, B), 0..255."""
    kr, kb = matrix.value
    kg = 1 - kr - kb
    luma, offset, chroma = (1.0, 0.0, 1.0) if full_range else (255 / 219, 16.0, 255 / 224)
    linear = np.array(
        [
            [luma, 0, 2 * (1 - kr) * chroma],
            [luma, -2 * (1 - kb) * kb / kg * chroma, -2 * (1 - kr) * kr / kg * chroma],
            [luma, 2 * (1 - kb) * chroma, 0],
        ]
    )
    shift = linear @ np.array([offset, 128.0, 128.0])
    return np.hstack([linear, -shift[:, None]]).astype(np.float32)
