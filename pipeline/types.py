"""Names for the arrays that are handed around; their layout is in the variable's name."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""8-bit picture or plane."""

FloatImage = npt.NDArray[np.float32]
"""Picture, plane or matte in float32."""


Pixels = npt.NDArray[np.intp]
"""Indices of some pixels."""


def unit(image: Image) -> FloatImage:
    """0..255 to 0..1."""
    return np.asarray(image * np.float32(1 / 255), np.float32)
