"""Names for the arrays that are handed around; their layout is in the variable's name."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""8-bit picture or plane."""

FloatImage = npt.NDArray[np.float32]
"""Picture, plane or matte in float32."""
