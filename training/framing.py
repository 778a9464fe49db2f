"""Place a person in a webcam's frame: head alone to waist, cut only by the frame's own edges."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from seg_stream.pipeline.types import Image
from seg_stream.training.pairs import Portrait


@dataclass(frozen=True)
class Framing:
    """Where a person stands in the frame, in units of the frame's height.

    `aspect` is the frame's width / height; `heads` how many head heights are visible; `height` the
    part of the frame's height that they fill (above 1 the head is cut); `centre` the head's place
    across, in parts of the frame's width (0..1 is inside it); `degrees` a roll of the camera.
    """

    aspect: float
    heads: float
    height: float
    centre: float
    degrees: float = 0.0
    mirror: bool = False


HEADS_HIGH = 1.15
"""A frame inside a photograph is at least so many heads high, if the photograph allows it."""

Draw = Callable[[Portrait, np.random.Generator], Framing]
"""Draws a framing of a person."""


def draw_webcam(person: Portrait, rng: np.random.Generator) -> Framing:
    """Draw a framing of the `portrait` suite: 16:9 or 4:3, a third to all of the height."""
    return _first_uncut(person, rng, lambda: Framing(
        aspect=float(rng.choice([16 / 9, 4 / 3])),
        heads=min(rng.uniform(1.25, 3.8), (person.clear - person.top) / person.head),
        height=rng.uniform(1 / 3, 1.0),
        centre=rng.uniform(0.3, 0.7),
        mirror=bool(rng.random() < 0.5),
    ))  # fmt: skip


def draw_varied(person: Portrait, rng: np.random.Generator) -> Framing:
    """Draw a framing for training: webcam views, close-ups, standing people, portrait format."""
    closeup = rng.random() < 0.25
    standing = rng.random() < 0.12

    def draw() -> Framing:
        heads = rng.uniform(3.0, 8.0) if standing else rng.uniform(1.1, 4.2)
        return Framing(
            aspect=float(rng.choice([16 / 9, 4 / 3, 1.0, 9 / 16], p=[0.5, 0.3, 0.1, 0.1])),
            heads=heads if closeup else min(heads, (person.clear - person.top) / person.head),
            height=rng.uniform(0.8, 1.6) if closeup else rng.uniform(0.3, 1.05),
            centre=float(np.clip(rng.normal(0.5, 0.18), 0.0, 1.0)),
            degrees=float(rng.normal(0, 5)),
            mirror=bool(rng.random() < 0.5),
        )

    return _first_uncut(person, rng, draw)


def draw_passer(person: Portrait, rng: np.random.Generator) -> Framing:
    """Draw a framing for a second person: anywhere, often cut by the frame's side."""
    return _first_uncut(person, rng, lambda: Framing(
        aspect=float(rng.choice([16 / 9, 4 / 3])),
        heads=min(rng.uniform(1.1, 4.2), (person.clear - person.top) / person.head),
        height=rng.uniform(0.3, 1.05),
        centre=rng.uniform(-0.1, 1.1),
        degrees=float(rng.normal(0, 5)),
        mirror=bool(rng.random() < 0.5),
    ))  # fmt: skip


def draw_photographed(person: Portrait, rng: np.random.Generator) -> Framing:
    """Draw a framing that shows the person in the photograph's own surroundings, inside its edges.

    A photograph in portrait format has little room beside the person: most fill the frame's height.
    """
    rows, columns = person.image_bgr.shape[:2]
    aspects = (16 / 9, 4 / 3, 1.0)
    drawn = float(rng.choice(aspects, p=[0.5, 0.4, 0.1]))
    enough = HEADS_HIGH * person.head
    fitting = (each for each in aspects if each <= drawn and columns / each >= enough)
    aspect = next(fitting, 1.0)  # a wide frame in a close portrait would be lower than the head
    largest = min(rows, columns / aspect)
    frame_rows = largest * rng.uniform(max(0.6, min(1.0, enough / largest)), 1.0)
    # The frame ends above the photograph's lower edge, and shows at least half of the head …
    most = min(1 + 0.5 * person.head / frame_rows, (rows - person.top) / frame_rows)
    least = min(most, max(0.35, 1 - person.top / frame_rows))  # … and begins below the upper edge.
    height = rng.uniform(least, most)
    frame_columns = frame_rows * aspect
    mirror = bool(rng.random() < 0.5)
    beside = (
        (columns - person.head_x, person.head_x)
        if mirror
        else (person.head_x, columns - person.head_x)
    )
    left, right = (side / frame_columns for side in beside)
    first, last = max(0.0, 1 - right), min(1.0, left)
    return Framing(
        aspect=aspect,
        heads=height * frame_rows / person.head,
        height=height,
        centre=rng.uniform(min(first, last), last),  # the same but for rounding, in a narrow one
        mirror=mirror,
    )


def show_gap(
    draw: Draw,
    person: Portrait,
    rng: np.random.Generator,
) -> Framing:
    """Draw framings until one shows the middle of a gap between arm and body, at most 30."""
    framing = draw(person, rng)
    for _ in range(29 if person.gap_xy.size else 0):
        gaps = to_frame(person, framing, *person.gap_xy)
        x, y = gaps[0] / framing.aspect, gaps[1]
        if ((x > 0.02) & (x < 0.98) & (y > 0.02) & (y < 0.97)).any():
            break
        framing = draw(person, rng)
    return framing


def place(
    person: Portrait, framing: Framing, size: tuple[int, int], original: bool = False
) -> tuple[Image, Image]:
    """Return the person's colour (H, W, 3) BGR and alpha (H, W), both uint8, of size (W, H).

    The frame is squeezed into that size, as the pipeline's `prepare` does. With `original` the
    picture's own surroundings come with the person (beyond its edges: mirrored, people too, so
    that its framing is better drawn by `draw_photographed`).
    """
    matrix = _affine(person, framing, size)
    picture = person.image_bgr if original else person.foreground_bgr
    alpha = person.alpha_hw
    shrink = 1 / math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))
    while shrink > 1.6:  # halve first, so that the bilinear warp does not alias
        picture = np.asarray(cv2.pyrDown(picture), np.uint8)
        alpha = np.asarray(cv2.pyrDown(alpha), np.uint8)
        matrix = matrix @ np.diag([2.0, 2.0, 1.0])
        shrink /= 2
    border = cv2.BORDER_REFLECT_101 if original else cv2.BORDER_CONSTANT
    linear = cv2.INTER_LINEAR
    colour = cv2.warpAffine(picture, matrix, size, flags=linear, borderMode=border)
    matte = cv2.warpAffine(alpha, matrix, size, flags=linear, borderMode=border)
    return np.asarray(colour, np.uint8), np.asarray(matte, np.uint8)


def to_frame(
    person: Portrait, framing: Framing, x: npt.ArrayLike, y: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Where pixels of the portrait lie in the frame: (2,) or (2, N) in units of its height."""
    matrix = _affine(person, framing, (1, 1))
    x, y = np.asarray(x), np.asarray(y)
    across, down = (row[0] * x + row[1] * y + row[2] for row in matrix)
    return np.asarray([across * framing.aspect, down], np.float64)


def _affine(person: Portrait, framing: Framing, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """The 2x3 matrix from the portrait's pixels to a picture of size (W, H)."""
    bottom = person.top + framing.heads * person.head
    scale = framing.height / max(bottom - person.top, 1.0)  # frame heights a source pixel
    angle = math.radians(framing.degrees)
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    flip = -1.0 if framing.mirror else 1.0
    middle = person.head_x
    # Row `bottom` of the head's column lands on the frame's lower edge, `centre` of the way across.
    x_row = [flip * cos, -sin, framing.centre * framing.aspect - flip * cos * middle + sin * bottom]
    y_row = [flip * sin, cos, 1.0 - flip * sin * middle - cos * bottom]
    scales = np.array([[size[0] / framing.aspect], [size[1]]])
    return np.asarray(np.array([x_row, y_row]) * scales, np.float64)


def _first_uncut(
    person: Portrait, rng: np.random.Generator, draw: Callable[[], Framing]
) -> Framing:
    framing = draw()
    for _ in range(30):
        if not cut_shows(person, framing):
            return framing
        framing = draw()
    heads = 0.98 * (person.clear - person.top) / person.head
    return Framing(aspect=4 / 3, heads=heads, height=rng.uniform(0.4, 0.9), centre=0.5)


def cut_shows(person: Portrait, framing: Framing) -> bool:
    """Whether an edge of the portrait's picture cuts the person inside the frame."""
    matrix = _affine(person, framing, (1, 1))
    points = matrix[:, :2] @ person.cut_xy + matrix[:, 2:]
    inside = ((points > 0.004) & (points < 0.996)).all(axis=0)
    return bool(inside.any())
