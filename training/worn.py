"""Draw what people wear and the photographs seldom show: hats, headphones, badges.

All are of one colour, pale half the time, shaded as if round. They need not look right: what sits
on a head is person, also where it has the colour of the sky behind it.
"""

from __future__ import annotations

import math

import numpy as np

from seg_stream.pipeline.types import FloatImage, unit
from seg_stream.training.arms import Outline, cover_of, put_on, shade
from seg_stream.training.framing import Framing, to_frame
from seg_stream.training.pairs import Portrait

BROW = 0.33
"""Where the head's width is measured, and what the frame must show for anything to be worn: so far
below the top of the head, in heads."""
EARS = 0.55
"""Where the ears are."""


def add_worn(
    colour: FloatImage,
    alpha_hw: FloatImage,
    person: Portrait,
    framing: Framing,
    rng: np.random.Generator,
) -> tuple[FloatImage, FloatImage]:
    """Draw a hat, headphones or a badge on a person who was placed in a frame.

    Args:
        colour: the person's colour, (H, W, 3) float32 BGR 0..255, perhaps dyed and with arms.
        alpha_hw: the person's alpha, (H, W) 0..1.
        person: the portrait.
        framing: where it was placed.
        rng: draws what and of which colour.

    Returns:
        The colour and the alpha with it; both as they were where the frame does not show the brow,
        or the head is fewer than 8 rows high.
    """
    brow = to_frame(person, framing, person.head_x, person.top + BROW * person.head)
    head_rows = alpha_hw.shape[0] * framing.height / framing.heads
    if not (0 <= brow[0] < framing.aspect and 0 <= brow[1] < 1) or head_rows < 8:
        return colour, alpha_hw
    half, kind = _half_width(person), rng.random()
    if kind < 0.65:
        outlines = _hat(half, rng)
    elif kind < 0.85:
        outlines = _headphones(half, rng)
    else:
        outlines = _badge(rng)
    dye = rng.uniform(200 if rng.random() < 0.5 else 5, 255, 3)
    if rng.random() < 0.5:  # most plain things are nearly grey
        dye += 0.85 * (dye.mean() - dye)
    light, depth = rng.uniform(0, 2 * math.pi), rng.uniform(0.0, 0.45)
    for outline in outlines:
        across, down = person.head * outline.T
        points = to_frame(person, framing, person.head_x + across, person.top + down)
        cover = cover_of([points.T], framing, alpha_hw.shape)
        paint = (dye * rng.uniform(0.75, 1.15)).astype(np.float32)
        part = np.minimum(paint * shade(cover, light, depth), np.float32(255))
        colour, alpha_hw = put_on(colour, alpha_hw, part, unit(cover))
    return colour, alpha_hw


def _half_width(person: Portrait) -> float:
    """Half of the head's width at the brow, in heads."""
    row = person.alpha_hw[min(int(person.top + BROW * person.head), len(person.alpha_hw) - 1)]
    reach = 0.8 * person.head
    near = row[max(0, int(person.head_x - reach)) : int(person.head_x + reach) + 1]
    return float(np.clip(unit(near).sum() / person.head / 2, 0.3, 0.6))


# Outlines are in heads, to the right and down from the top of the head.


def _hat(head_half: float, rng: np.random.Generator) -> list[Outline]:
    """A crown and, mostly, a brim: all around, or a cap's to one side."""
    brow = rng.uniform(0.2, 0.4)
    half = head_half * rng.uniform(1.05, 1.3)
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


def _headphones(head_half: float, rng: np.random.Generator) -> list[Outline]:
    half = head_half * rng.uniform(1.0, 1.15)
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
