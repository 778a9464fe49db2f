"""Move the person's light and colour towards the background's, slowly, so that nothing pumps.

Means are matched as in E. Reinhard et al., "Color Transfer between Images", 2001, but only part of
the way and not the spread of values: a person in a green room is lit by it, not green.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.shrink import shrink
from seg_stream.pipeline.types import FloatImage, Image

Levels = npt.NDArray[np.float64]
"""A mean of each plane."""

SETTLING_S = 1.5
"""After this a change of the picture's mean has been followed by two thirds."""

GAP_S = 5.0
"""After so long without a frame it begins anew."""

LIGHT_SHARE, CHROMA_SHARE = 0.5, 0.4
"""At full strength, the part of the way that is gone."""

GAMMAS = 0.6, 1.6
"""The curve of the light stays within these."""

LARGEST_SHIFT = 14.0
"""Of chroma, in steps of 255."""


class ColourMatch:
    """Knows the means of the last seconds."""

    def __init__(self) -> None:
        self._means: tuple[Levels, Levels] | None = None
        self._time_s = 0.0

    def restart(self) -> None:
        """Forget them."""
        self._means = None

    def __call__(
        self,
        frame: Frame,
        alpha_hw: FloatImage,
        small_background: Sequence[Image],
        strength: float,
    ) -> tuple[Image, ...]:
        """Change the light of a frame; the room in it changes too, but will be covered.

        Args:
            frame: frames come in the order of their time.
            alpha_hw: float32 (H, W), 0..1.
            small_background: the background's planes, all scaled to one small size.
            strength: 0..1.

        Returns:
            New planes.
        """
        if frame.format == "bgr24":  # the curves are for luma and chroma
            turned = cv2.cvtColor(frame.planes[0], cv2.COLOR_BGR2YCrCb)
            behind = cv2.cvtColor(small_background[0], cv2.COLOR_BGR2YCrCb)
            planes = [np.asarray(each, np.uint8) for each in cv2.split(turned)]
            room = [np.asarray(each, np.uint8) for each in cv2.split(behind)]
            matched = self._match(frame, planes, alpha_hw, room, strength)
            return (np.asarray(cv2.cvtColor(cv2.merge(matched), cv2.COLOR_YCrCb2BGR), np.uint8),)
        return self._match(frame, frame.planes, alpha_hw, small_background, strength)

    def _match(
        self,
        frame: Frame,
        planes: Sequence[Image],
        alpha_hw: FloatImage,
        room: Sequence[Image],
        strength: float,
    ) -> tuple[Image, ...]:
        height, width = room[0].shape
        weight = shrink(alpha_hw, width, height)
        if float(weight.mean()) > 1e-3:
            person = [_mean(shrink(plane, width, height), weight) for plane in planes]
            self._follow(np.array(person), np.array([plane.mean() for plane in room]), frame)
        if self._means is None:
            return tuple(planes)
        tables = curves(*self._means, frame.levels(), strength)
        return tuple(
            np.asarray(cv2.LUT(plane, table), np.uint8)
            for plane, table in zip(planes, tables, strict=True)
        )

    def _follow(self, person: Levels, room: Levels, frame: Frame) -> None:
        time_s = float(frame.pts * frame.time_base)
        passed_s, self._time_s = time_s - self._time_s, time_s
        if self._means is None or frame.still or not 0 <= passed_s < GAP_S:
            self._means = person, room
            return
        step = 1 - np.exp(-passed_s / SETTLING_S)
        before_person, before_room = self._means
        self._means = (
            before_person + step * (person - before_person),
            before_room + step * (room - before_room),
        )


def curves(person: Levels, room: Levels, levels: tuple[int, int], strength: float) -> list[Image]:
    """What becomes of each value, uint8 (256,), of luma and both chroma planes.

    Black stays black and white white; the light between them is bent, and chroma is shifted.

    Args:
        person: the mean luma and chroma of the person, 0..255.
        room: of the background.
        levels: luma of black and of white.
        strength: 0..1.
    """
    low, high = levels
    values = np.arange(256, dtype=np.float64)
    now, there = np.clip((np.array([person[0], room[0]]) - low) / (high - low), 0.05, 0.95)
    gamma = np.log(now + LIGHT_SHARE * strength * (there - now)) / np.log(now)
    bent = np.clip((values - low) / (high - low), 0, 1) ** np.clip(gamma, *GAMMAS)
    shifts = strength * CHROMA_SHARE * (room[1:] - person[1:])
    tables = [low + (high - low) * bent]
    tables += [values + shift for shift in np.clip(shifts, -LARGEST_SHIFT, LARGEST_SHIFT)]
    return [np.rint(np.clip(table, 0, 255)).astype(np.uint8) for table in tables]


def _mean(plane: Image, weight_hw: FloatImage) -> float:
    return float((plane * weight_hw).sum() / weight_hw.sum())
