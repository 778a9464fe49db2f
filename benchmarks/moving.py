"""Sequences with a known matte: a person who sways and waves a hand in front of a room.

People and rooms come from the data of the training, so that the look of moving pictures can be
tuned without the clips that it is measured on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.picture import bgr_to_planes
from seg_stream.pipeline.types import FloatImage, Image, unit
from seg_stream.training.framing import Framing, draw_webcam, place
from seg_stream.training.pairs import Portrait, load_backgrounds, load_people, pair_folders

RATE = 30
SIZE = (640, 360)
SHUTTER_S = 1 / 60
SKIN_BGR = np.array([125, 150, 200], np.float32)
EXPOSURES = 4
"""Moments that one frame is the mean of: motion blur."""


Point = npt.NDArray[np.float64]
"""x and y."""


@dataclass(frozen=True)
class Scene:
    """One person, one room, and how fast they move; `wave_s` is the time of one wave and back."""

    person: Portrait
    framing: Framing
    room_bgr: FloatImage
    wave_s: float
    sway_s: float
    seed: int

    def layers(self, time_s: float) -> tuple[FloatImage, FloatImage]:
        """Colour (H, W, 3), 0..255, and alpha (H, W) of the person at one moment."""
        sway = np.sin(2 * np.pi * time_s / self.sway_s)
        nod = np.sin(2 * np.pi * time_s / (0.7 * self.sway_s) + 1)
        framing = replace(
            self.framing,
            centre=self.framing.centre + 0.02 * sway,
            degrees=2.0 * nod,
            height=self.framing.height * (1 + 0.01 * nod),
        )
        colour, matte = place(self.person, framing, SIZE)
        hand = self.hand(time_s)
        weight = hand[..., None]
        together = colour * (1 - weight) + SKIN_BGR * weight
        return np.asarray(together, np.float32), np.maximum(unit(matte), hand)

    def hand(self, time_s: float) -> FloatImage:
        """The alpha of a forearm with a hand that comes up from the lower edge and waves."""
        width, height = SIZE
        side = -1 if self.framing.centre > 0.5 else 1  # where there is more room
        angle = 0.5 * np.sin(2 * np.pi * time_s / self.wave_s) + 0.25 * side
        elbow = np.array([width * (self.framing.centre + 0.22 * side), height * 1.02])
        along = np.array([np.sin(angle), -np.cos(angle)]) * height
        wrist, palm = elbow + 0.32 * along, elbow + 0.41 * along
        alpha = np.zeros((height, width), np.uint8)
        _line(alpha, elbow, wrist, 0.075 * height)
        _line(alpha, wrist, palm, 0.1 * height)
        for finger in np.linspace(-0.35, 0.35, 4):
            turned = np.array([np.sin(angle + finger), -np.cos(angle + finger)]) * height
            _line(alpha, palm, palm + 0.11 * turned, 0.03 * height)
        return unit(np.asarray(cv2.GaussianBlur(alpha, (3, 3), 0.7), np.uint8))

    def alpha(self, time_s: float) -> FloatImage:
        """The alpha in a frame of that time, (H, W), with motion blur."""
        alphas = [self.layers(moment)[1] for moment in self._exposures(time_s)]
        return np.asarray(np.mean(alphas, axis=0), np.float32)

    def _exposures(self, time_s: float) -> list[float]:
        return [time_s + SHUTTER_S * (i + 0.5) / EXPOSURES for i in range(EXPOSURES)]

    def frame(self, index: int) -> Frame:
        """What a camera would give, in the planes of a video."""
        rng = np.random.default_rng([self.seed, index])
        total = np.zeros((*SIZE[::-1], 3), np.float32)
        for time_s in self._exposures(index / RATE):
            colour, alpha_hw = self.layers(time_s)
            alpha = alpha_hw[..., None]
            total += (colour * alpha + self.room_bgr * (1 - alpha)) / EXPOSURES
        noisy = np.rint(np.clip(total + rng.normal(0, 3, total.shape), 0, 255)).astype(np.uint8)
        code = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
        seen = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
        planes = bgr_to_planes(seen, "yuv420p", Colour())
        return Frame(index, planes, "yuv420p", Colour(), index, Fraction(1, RATE), 0.0)


def _line(alpha: Image, start: Point, end: Point, width: float) -> None:
    """Draw a thick line with round ends, to a sixteenth of a pixel."""
    shift = 4
    a, b = (tuple(int(v) for v in np.rint(point * 2**shift)) for point in (start, end))
    normal = np.array([end[1] - start[1], start[0] - end[0]])
    normal = normal / max(float(np.hypot(*normal)), 1e-6) * width / 2
    corners = np.array([start + normal, end + normal, end - normal, start - normal])
    points = np.rint(corners * 2**shift).astype(np.int32)
    cv2.fillConvexPoly(alpha, points, 255, cv2.LINE_AA, shift)
    for point in (a, b):
        cv2.circle(alpha, point, round(width / 2 * 2**shift), 255, cv2.FILLED, cv2.LINE_AA, shift)


def scenes(data: Path, count: int, split: str = "val") -> Iterator[Scene]:
    """Draw scenes, the same every time, from quick waving to slow.

    Args:
        data: holds folders of pairs and `backgrounds`, as for `seg-train`.
        count: how many.
        split: of the people and rooms.
    """
    people = [p for f in pair_folders(data).values() for p in load_people(f, split).portraits]
    kinds = load_backgrounds(data / "backgrounds", split)
    rooms = [room for pictures in kinds.values() for room in pictures]
    for i in range(count):
        rng = np.random.default_rng([7, i])
        person = people[int(rng.integers(len(people)))]
        framing = replace(draw_webcam(person, rng), aspect=16 / 9)
        room = cv2.resize(rooms[int(rng.integers(len(rooms)))], SIZE, interpolation=cv2.INTER_AREA)
        yield Scene(
            person,
            replace(framing, height=min(framing.height, 0.9)),
            np.asarray(room, np.float32),
            wave_s=(0.6, 1.2, 2.4, 4.8)[i % 4],
            sway_s=float(rng.uniform(1.5, 5)),
            seed=i,
        )
