"""Does less where the machine cannot keep up, and more again when it can."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

WINDOW_S = 2.0
"""The rate is judged over this time."""

ENOUGH = 0.9
"""This share of the wanted rate is good enough."""

CALM_S = 10.0
"""So long all must be well before more is tried; it doubles each time that it was too much."""

LONGEST_CALM_S = 300.0

MASK_S = 0.05
"""A mask may be moved along for at most this: the rest of its 100 ms goes to the frame's way."""

SMALLER: Final = {"portrait": "portrait-lite"}
"""The shipped models that have a smaller brother."""


@dataclass(frozen=True)
class Level:
    """How much is done: which network, and on every how many frames."""

    model: str
    every: int = 1

    def __str__(self) -> str:
        often = {1: "every frame", 2: "every other frame"}.get(
            self.every, f"one of {self.every} frames"
        )
        return f"{self.model} on {often}"


def levels_of(model: str, rate: float) -> list[Level]:
    """From the most to the least work; `rate` is the camera's, in frames a second."""
    smallest = SMALLER.get(model, model)
    sizes = [Level(each) for each in dict.fromkeys((model, smallest))]
    most = min(4, 1 + int(MASK_S * rate + 1e-6))
    return [*sizes, *(Level(smallest, every) for every in range(2, most + 1))]


class Governor:
    """Chooses the level; it is told how many frames came and were shown, and when.

    Args:
        levels: from the most to the least work.
        target_fps: what is to be reached; the camera's rate if None.
        say: tells the user that the level has changed.
    """

    def __init__(
        self, levels: list[Level], target_fps: float | None, say: Callable[[str], None]
    ) -> None:
        self.levels, self._target_fps, self._say = levels, target_fps, say
        self._at = 0
        self._came = self._shown = 0
        self._from_s: float | None = None
        self._changed_s = 0.0
        self._calm_s = CALM_S
        self._tried = False
        self._told = False

    @property
    def level(self) -> Level:
        """What is to be done now."""
        return self.levels[self._at]

    def restart(self) -> None:
        """Judge anew: the time until now says nothing, as after a pause or without a camera."""
        self._from_s = None

    def judge(self, now_s: float, camera_frames: int, shown: int) -> None:
        """Change the level if the time since the last judgement calls for it.

        Args:
            now_s: the time.
            camera_frames: how many frames the camera has given so far.
            shown: how many were shown so far.
        """
        if self._from_s is None:
            self._from_s, self._came, self._shown = now_s, camera_frames, shown
            self._changed_s = now_s
            return
        span_s = now_s - self._from_s
        if span_s < WINDOW_S:
            return
        camera_fps = (camera_frames - self._came) / span_s
        fps = (shown - self._shown) / span_s
        self._from_s, self._came, self._shown = now_s, camera_frames, shown
        wanted = min(camera_fps, self._target_fps or camera_fps)
        if wanted <= 0:
            return
        if fps < ENOUGH * wanted:
            self._less(now_s, fps, wanted)
        elif now_s - self._changed_s >= self._calm_s:
            self._more(now_s)

    def _less(self, now_s: float, fps: float, wanted: float) -> None:
        if self._tried:
            self._calm_s = min(2 * self._calm_s, LONGEST_CALM_S)
        self._tried = False
        why = f"{fps:.0f} of {wanted:.0f} frames a second were reached"
        if self._at + 1 < len(self.levels):
            self._at += 1
            self._say(f"The machine cannot keep up ({why}); from now on: {self.level}.")
        elif not self._told:
            self._told = True
            self._say(f"The machine cannot keep up ({why}), and there is no less to do.")
        self._changed_s = now_s

    def _more(self, now_s: float) -> None:
        if self._tried:  # what was tried has held
            self._calm_s, self._tried = CALM_S, False
        self._told = False
        if self._at:
            self._at -= 1
            self._tried = True
            self._say(f"The machine keeps up; from now on: {self.level}.")
        self._changed_s = now_s
