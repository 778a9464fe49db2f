"""Draw what people wear and the photographs seldom show: hats, helmets, headphones, badges.

All are of one colour, pale half the time, shaded as if round. They need not look right: what sits
on a head is person, also where it has the colour of the sky behind it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from seg_stream.pipeline.types import FloatImage, Image, unit
from seg_stream.training.arms import FINE, lay_over, shade
from seg_stream.training.framing import Framing, to_frame
from seg_stream.training.pairs import Portrait

Outline = npt.NDArray[np.float64]
"""(N, 2): to the right and down from the top of the head, in heads."""

BROW = 0.33
"""How far below the top of the head a hat sits, in heads."""
EARS = 0.55
"""And the ears."""


@dataclass(frozen=True)
class _Head:
    """The top of a head in the frame, in frame heights, its height, and half its width in heads."""

    top: npt.NDArray[np.float64]
    height: float
    half: float
    degrees: float
    aspect: float


def add_worn(
    colour: FloatImage,
    alpha_hw: FloatImage,
    person: Portrait,
    framing: Framing,
    rng: np.random.Generator,
) -> tuple[FloatImage, FloatImage]:
    """Draw a hat, headphones or a badge on a person who was placed in a frame.

    Args:
        colour: the person's colour, (H, W, 3) float32 BGR 0..255, as `place` gave it.
        alpha_hw: the person's alpha, (H, W) 0..1.
        person: the portrait.
        framing: where it was placed.
        rng: draws what and of which colour.

    Returns:
        The colour and the alpha with it; what they were where the frame does not show the head.
    """
    head = _head(alpha_hw, person, framing)
    if head is None:
        return colour, alpha_hw
    kind = rng.random()
    if kind < 0.65:
        parts = _hat(head, rng)
    elif kind < 0.85:
        parts = _headphones(head, rng)
    else:
        parts = _badge(rng)
    dye = rng.uniform(200 if rng.random() < 0.5 else 5, 255, 3)
    if rng.random() < 0.5:  # most plain things are nearly grey
        dye += 0.85 * (dye.mean() - dye)
    light, depth = rng.uniform(0, 2 * math.pi), rng.uniform(0.0, 0.45)
    for part in parts:
        cover = _cover(part, head, colour.shape[:2])
        paint = (dye * rng.uniform(0.75, 1.15)).astype(np.float32)
        drawn = np.broadcast_to(paint, colour.shape) * shade(cover, light, depth)
        colour, alpha_hw = lay_over(colour, alpha_hw, drawn, unit(cover))
    return colour, alpha_hw


def _head(alpha_hw: FloatImage, person: Portrait, framing: Framing) -> _Head | None:
    """Where the head is and how wide at the brow; None if the frame does not show that."""
    rows, columns = alpha_hw.shape
    top = to_frame(person, framing, person.head_x, person.top)
    height = framing.height / framing.heads
    x, y = top[0] / framing.aspect * columns, (top[1] + BROW * height) * rows
    if not (0 <= x < columns and 0 <= y < rows) or height * rows < 8:
        return None
    across = height * columns / framing.aspect
    left, right = max(0, int(x - 0.8 * across)), int(x + 0.8 * across) + 1
    wide = float(alpha_hw[int(y), left:right].sum()) / across
    return _Head(top, height, float(np.clip(wide / 2, 0.3, 0.6)), framing.degrees, framing.aspect)


def _hat(head: _Head, rng: np.random.Generator) -> list[Outline]:
    """A crown and, mostly, a brim: all around, or a cap's to one side."""
    brow = rng.uniform(0.2, 0.4)
    half = head.half * rng.uniform(1.05, 1.3)
    rise = brow + rng.uniform(0.08, 0.4)
    power = rng.uniform(1.6, 3.5)  # 2 is round, more is square
    turns = np.linspace(math.pi, 2 * math.pi, 24)
    cos, sin = np.cos(turns), np.sin(turns)
    crown = np.stack([
        half * np.sign(cos) * np.abs(cos) ** (2 / power),
        brow + rise * np.sign(sin) * np.abs(sin) ** (2 / power),
    ], axis=1)  # fmt: skip
    sag = rng.uniform(0.0, 0.12)
    band = np.linspace(-0.9 * half, 0.9 * half, 9)[::-1]
    crown = np.concatenate([crown, np.stack([band, brow + sag * (1 - (band / half) ** 2)], axis=1)])
    if rng.random() < 0.3:
        return [crown]
    width, thick = half * rng.uniform(1.05, 1.7), rng.uniform(0.04, 0.14)
    shift = half * float(rng.choice([0.0, rng.uniform(-0.8, 0.8)]))
    return [crown, _ellipse(shift, brow + 0.5 * sag, width, thick)]


def _headphones(head: _Head, rng: np.random.Generator) -> list[Outline]:
    half = head.half * rng.uniform(1.0, 1.15)
    thick = rng.uniform(0.05, 0.14)
    turns = np.linspace(math.pi, 2 * math.pi, 24)
    arcs = [
        np.stack([(half + more) * np.cos(turns), EARS + (EARS + more) * np.sin(turns)], axis=1)
        for more in (thick, 0.0)
    ]
    cup = (rng.uniform(0.08, 0.16), rng.uniform(0.15, 0.26))
    cups = [_ellipse(side * half, EARS, *cup) for side in (-1, 1)]
    return [np.concatenate([arcs[0], arcs[1][::-1]]), *cups]


def _badge(rng: np.random.Generator) -> list[Outline]:
    """A badge on the chest, on a ribbon around the neck."""
    x, y = rng.normal(0, 0.15), rng.uniform(1.8, 2.8)
    wide, high = rng.uniform(0.1, 0.25), rng.uniform(0.12, 0.3)
    ribbon = rng.uniform(0.02, 0.05)
    strips = [
        np.array([[side * 0.25, 1.15], [x, y], [x + ribbon, y], [side * 0.25 + ribbon, 1.15]])
        for side in (-1, 1)
    ]
    corners = np.array([[-wide, 0], [wide, 0], [wide, 2 * high], [-wide, 2 * high]])
    return [*strips, corners + np.array([x, y])]


def _ellipse(x: float, y: float, half_width: float, half_height: float) -> Outline:
    turns = np.linspace(0, 2 * math.pi, 32, endpoint=False)
    return np.stack([x + half_width * np.cos(turns), y + half_height * np.sin(turns)], axis=1)


def _cover(outline: Outline, head: _Head, shape: tuple[int, ...]) -> Image:
    """What an outline covers of the frame, uint8 (H, W)."""
    angle = math.radians(head.degrees)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    points = head.top + head.height * outline @ turn
    scales = FINE * np.array([shape[1] / head.aspect, shape[0]])
    canvas = np.zeros((shape[0] * FINE, shape[1] * FINE), np.uint8)
    cv2.fillPoly(canvas, [np.rint(np.clip(points * scales, -1e4, 1e4)).astype(np.int32)], 255)
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), np.uint8)
