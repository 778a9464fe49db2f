"""Dye people's clothes: most of the portraits wear dark suits, and a webcam sees white shirts."""

from __future__ import annotations

import cv2
import numpy as np

from seg_stream.pipeline.types import FloatImage
from seg_stream.training.framing import Framing, to_frame
from seg_stream.training.pairs import Portrait

DARKEST_SKIN = (0, 133, 77)
LIGHTEST_SKIN = (255, 173, 127)
"""Y, Cr and Cb, 0..255, between which most skin lies, if it is neither in glaring light nor in grey
pictures: D. Chai and K. Ngan, "Face segmentation using skin-color map in videophone applications",
1999."""

CHIN = 1.05
"""How far below the person's top the chin is, in heads."""


def dye_clothes(
    foreground: FloatImage,
    alpha_hw: FloatImage,
    person: Portrait,
    framing: Framing,
    rng: np.random.Generator,
) -> FloatImage:
    """Give what is below the chin and not of skin's colours another one, a pale one half the time.

    That is the clothes, long hair and bags. Folds and patterns stay as far as the colour has room,
    or turn from dark to light.

    Args:
        foreground: the person's colour, (H, W, 3) float32 BGR 0..255, as `place` gave it.
        alpha_hw: the person's alpha, (H, W) 0..1; it says what the middle tone is taken of.
        person: the portrait.
        framing: where it was placed.
        rng: draws the colour.
    """
    height = alpha_hw.shape[0]
    ycc = cv2.cvtColor(np.clip(foreground, 0, 255).astype(np.uint8), cv2.COLOR_BGR2YCrCb)
    skin = cv2.inRange(ycc, DARKEST_SKIN, LIGHTEST_SKIN) > 0
    chin = to_frame(person, framing, person.head_x, person.top + CHIN * person.head)[1]
    below = np.arange(height)[:, None] > chin * height
    cloth = np.where(below & ~skin, np.float32(1), np.float32(0))
    sure = (cloth > 0) & (alpha_hw > 0.9)
    if not sure.any():
        return foreground
    dye = rng.uniform(205 if rng.random() < 0.5 else 10, 255, 3)
    tone = ycc[..., 0].astype(np.float32)
    folds = (tone - np.median(tone[sure])) * rng.choice([-1, 1]) * rng.uniform(0.5, 1.5)
    dyed = np.clip(dye + folds[..., None], 0, 255)
    weight = np.asarray(cv2.GaussianBlur(cloth, (0, 0), 1.0))[..., None]
    return np.asarray(foreground + weight * (dyed - foreground), np.float32)
