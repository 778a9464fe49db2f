"""Dye people's clothes: most of the portraits wear dark suits, and a webcam sees white shirts."""

from __future__ import annotations

import cv2
import numpy as np

from seg_stream.pipeline.types import FloatImage
from seg_stream.training.framing import Framing, to_frame
from seg_stream.training.pairs import Portrait

DARKEST_SKIN = (0, 133, 77)
LIGHTEST_SKIN = (255, 173, 127)
"""Y, Cr and Cb, 0..255, between which skin of all colours lies: D. Chai and K. Ngan, "Face
segmentation using skin-color map in videophone applications", 1999."""

CHIN = 0.8
"""Clothes begin at least so far below the person's top, in heads."""


def dye_clothes(
    colour: FloatImage,
    alpha_hw: FloatImage,
    person: Portrait,
    framing: Framing,
    rng: np.random.Generator,
) -> FloatImage:
    """Give what is below the chin and no skin another colour, a pale one half of the time.

    Its folds and patterns stay, or turn from dark to light.

    Args:
        colour: the frame, (H, W, 3) float32 BGR 0..255, as `place` gave it.
        alpha_hw: the person's alpha in it, (H, W) 0..1.
        person: the portrait.
        framing: where it was placed.
        rng: draws the colour.

    Returns:
        A frame like `colour`, the same where `alpha_hw` is 0.
    """
    ycc = cv2.cvtColor(np.clip(colour, 0, 255).astype(np.uint8), cv2.COLOR_BGR2YCrCb)
    skin = cv2.inRange(ycc, DARKEST_SKIN, LIGHTEST_SKIN) > 0
    cloth = np.where(skin, np.float32(0), alpha_hw)
    chin = to_frame(person, framing, person.head_x, person.top + CHIN * person.head)[1]
    cloth[: max(0, int(chin * cloth.shape[0]) + 1)] = 0
    sure = cloth > 0.9
    if not sure.any():
        return colour
    pale = rng.random() < 0.5
    dye = rng.uniform(205 if pale else 10, 255, 3)
    tone = ycc[..., 0].astype(np.float32)
    folds = (tone - np.median(tone[sure])) * rng.choice([-1, 1]) * rng.uniform(0.5, 1.5)
    weight = np.minimum(cv2.GaussianBlur(cloth, (0, 0), 1.0), alpha_hw)[..., None]
    painted = np.clip(dye + folds[..., None], 0, 255)
    return np.asarray(colour + weight * (painted - colour), np.float32)
