"""Compose what the network sees: a person in a room, through a webcam."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import cv2
import numpy as np

from seg_stream.pipeline.types import FloatImage, Image, unit
from seg_stream.training import camera
from seg_stream.training.arms import add_arms
from seg_stream.training.clothes import dye_clothes
from seg_stream.training.framing import (
    draw_passer,
    draw_photographed,
    draw_varied,
    draw_webcam,
    place,
    show_gap,
)
from seg_stream.training.pairs import Portrait
from seg_stream.training.worn import add_worn

Rooms = dict[str, list[Image]]
Size = tuple[int, int]
"""Width and height."""

ROOM_WEIGHTS = {"interior": 0.2, "room": 0.3, "hdri": 0.2, "shop": 0.15, "street": 0.15}
"""How often a kind of background is drawn; kinds not named here have weight 0.2."""

PHOTOGRAPHED = 0.45
"""How often people whom their photograph shows whole stay in it: no composite has its shared light
and its true edges."""
PHOTOGRAPHED_CUT = 0.15
"""How often the others stay in theirs: most of the portraits were taken before one blue wall."""
GAPS = 0.35
"""How often the person is one with a gap between arm and body, and the frame shows it: by chance
one sample in twelve did, and networks filled nine gaps of ten."""
DYED = 0.3
"""How often a person's clothes are dyed."""
ARMS = 0.35
"""How often a person who is put into a room gets drawn arms."""
WORN = 0.25
"""How often a person who is put into a room gets a drawn hat, headphones or a badge."""
ALIKE = 0.15
"""How often that room is a wall of the person's own colour somewhere on the outline: white before
white has next to no edge, and only the shape of a head or a shoulder says where it is."""
SHADOWS = 0.3
"""How often a person's shadow falls on the room behind."""
WALLS = 0.15
"""How often the room is a wall: the view of most webcams, and of few photographs of rooms."""


@dataclass(frozen=True)
class Cast:
    """People by the folder they came from, how often each folder is drawn, and rooms by kind."""

    people: dict[str, list[Portrait]]
    weights: dict[str, float]
    rooms: Rooms

    @cached_property
    def with_gaps(self) -> Cast:
        """Those of the people who have gaps between arms and body; everybody if none has.

        Among them each is drawn as often as the others: a folder weighs less where few have any.
        """
        some, weights = {}, {}
        for name, people in self.people.items():
            if found := [person for person in people if person.gap_xy.size]:
                some[name] = found
                weights[name] = self.weights[name] * len(found) / len(people)
        return Cast(some, weights, self.rooms) if some else self


def compose(cast: Cast, size: Size, rng: np.random.Generator) -> tuple[Image, Image]:
    """Make one training sample of `size` (W, H).

    Returns:
        The picture, uint8 (H, W, 3) RGB, and the alpha, uint8 (H, W).
    """
    kind = rng.random()
    if kind < 0.04:  # nobody there
        frame, alpha = room(cast.rooms, size, rng), np.zeros(size[::-1], np.float32)
    else:
        gap = rng.random() < GAPS
        person = _pick(cast.with_gaps if gap else cast, rng)
        if kind > 1 - (PHOTOGRAPHED_CUT if person.cut_xy.size else PHOTOGRAPHED):
            frame, alpha = _photographed(person, size, rng, gap)
        else:
            frame, alpha = _put(person, room(cast.rooms, size, rng), size, rng, gap)
        if kind < 0.12:  # two people
            frame, second = _put(_pick(cast, rng), frame, size, rng, second=True)
            alpha = second + alpha * (1 - second)
    seen = camera.sensor(camera.soften(camera.light(frame, rng), rng), rng)
    if rng.random() < 0.06:  # pillarbox or letterbox
        seen, alpha = _bars(seen, alpha, rng)
    matte = np.clip(np.rint(alpha * 255), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(seen[:, :, ::-1]), matte


def room(rooms: Rooms, size: Size, rng: np.random.Generator) -> FloatImage:
    """Draw a room, often put together of two, out of focus, or with furniture-like shapes in it."""
    view = _wall(size, rng) if rng.random() < WALLS else _crop(rooms, size, rng)
    if rng.random() < 0.35:  # part of another room: there are far more rooms than photos of them
        mask = _shape(size, rng, largest=0.6)
        view = _lay_over(view, _crop(rooms, size, rng), mask, rng)
    if rng.random() < 0.3:
        view = np.asarray(cv2.GaussianBlur(view, (0, 0), rng.uniform(0.8, 6.0)), np.float32)
    if rng.random() < 0.4:
        view = _furniture(view, rooms, rng)
    return np.asarray(np.clip(view, 0, 255), np.float32)


def _crop(rooms: Rooms, size: Size, rng: np.random.Generator) -> FloatImage:
    """A part of a photograph, mirrored half of the time, in another light and tint."""
    kinds = sorted(rooms)
    weights = np.array([ROOM_WEIGHTS.get(kind, 0.2) for kind in kinds])
    pictures = rooms[str(rng.choice(kinds, p=weights / weights.sum()))]
    picture = pictures[int(rng.integers(len(pictures)))]
    height, width = picture.shape[:2]
    crop = rng.uniform(0.25, 1.0)
    h, w = max(1, int(height * crop)), max(1, int(width * crop * rng.uniform(0.6, 1.0)))
    y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    view = cv2.resize(picture[y : y + h, x : x + w], size, interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        view = cv2.flip(view, 1)
    tint = np.exp(rng.normal(0, 0.1, 3) + rng.normal(0, 0.25))
    return np.asarray(view * tint.astype(np.float32), np.float32)


def _wall(size: Size, rng: np.random.Generator) -> FloatImage:
    """A painted wall, often pale, lit unevenly, perhaps with the edges of a door or a corner."""
    width, height = size
    pale = rng.random() < 0.7
    paint = rng.uniform(120, 250) * np.exp(rng.normal(0, 0.06 if pale else 0.35, 3))
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    slope = rng.normal(0, 0.15, 2)
    lit = np.exp(slope[0] * across + slope[1] * down - rng.uniform(0, 0.25) * across * across)
    view = np.asarray(lit * paint.astype(np.float32), np.float32)
    for _ in range(int(rng.integers(0, 4))):  # a door, a skirting board, a corner of the room
        edge = int(rng.integers(width if (upright := rng.random() < 0.7) else height))
        part = view[:, edge:] if upright else view[edge:]
        part *= np.float32(rng.uniform(0.75, 1.1))
    return view


def _alike(
    wall: FloatImage, foreground: FloatImage, alpha_hw: FloatImage, rng: np.random.Generator
) -> FloatImage:
    """The wall, painted so that somewhere on the person's outline it has the person's colour."""
    inside = np.where(alpha_hw > 0.9, np.uint8(1), np.uint8(0))
    reach = max(3, alpha_hw.shape[0] // 20) | 1
    ys, xs = np.nonzero(inside > cv2.erode(inside, np.ones((reach, reach), np.uint8)))
    if not len(ys):
        return wall
    # Rows come in order: half the time a point near the top, of hair or a hat.
    some = int(rng.integers(len(ys) if rng.random() < 0.5 else max(1, len(ys) // 4)))
    y, x = ys[some], xs[some]
    near = np.s_[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
    own = np.median(foreground[near][inside[near] > 0], axis=0) * np.exp(rng.normal(0, 0.04, 3))
    gain = np.minimum(own, 255) / wall[y, x]
    return np.asarray(np.clip(wall * gain.astype(np.float32), 0, 255), np.float32)


def _furniture(view: FloatImage, rooms: Rooms, rng: np.random.Generator) -> FloatImage:
    """Put chair-, screen- and lamp-like shapes behind the person, textured or plain, often dark."""
    size = (view.shape[1], view.shape[0])
    for _ in range(int(rng.integers(1, 4))):
        if rng.random() < 0.5:
            texture = _crop(rooms, size, rng) * np.float32(rng.uniform(0.2, 1.2))
        else:
            colour = rng.uniform(5, 255, 3) * rng.uniform(0.1, 1.0)
            texture = np.full(view.shape, colour, np.float32)
        view = _lay_over(view, texture, _shape(size, rng, largest=0.35), rng)
    return view


def _shape(size: Size, rng: np.random.Generator, largest: float) -> Image:
    """An ellipse, box or jagged thing in the lower two thirds, up to twice `largest` of `size`."""
    width, height = size
    mask = np.zeros((height, width), np.uint8)
    centre = (int(rng.integers(width)), int(rng.integers(height // 3, height)))
    axes = tuple(int(rng.uniform(0.05, largest) * side) for side in size)
    kind = rng.random()
    if kind < 0.35:
        cv2.ellipse(mask, centre, axes, float(rng.uniform(-30, 30)), 0, 360, 255, -1)
    elif kind < 0.65:  # leaves, toys
        turns = np.linspace(0, 2 * np.pi, int(rng.integers(8, 40)), endpoint=False)
        far = rng.uniform(rng.uniform(0.1, 0.9), 1.0, len(turns))
        points = np.stack([np.cos(turns), np.sin(turns)], axis=1) * far[:, None] * axes + centre
        cv2.fillPoly(mask, [np.rint(points).astype(np.int32)], 255)
    else:
        box = cv2.boxPoints((centre, (2 * axes[0], 2 * axes[1]), float(rng.normal(0, 10))))
        cv2.fillConvexPoly(mask, np.rint(box).astype(np.int32), 255)
    return mask


def _lay_over(
    view: FloatImage, texture: FloatImage, mask: Image, rng: np.random.Generator
) -> FloatImage:
    soft = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.5, 2.0))
    weight = unit(np.asarray(soft, np.uint8))[..., None]
    return np.asarray(view * (1 - weight) + texture * weight, np.float32)


def _pick(cast: Cast, rng: np.random.Generator) -> Portrait:
    folders = sorted(cast.people)
    weights = np.array([cast.weights[folder] for folder in folders])
    people = cast.people[str(rng.choice(folders, p=weights / weights.sum()))]
    return people[int(rng.integers(len(people)))]


def _photographed(
    person: Portrait, size: Size, rng: np.random.Generator, gap: bool
) -> tuple[FloatImage, FloatImage]:
    """A part of the photograph, the clothes perhaps dyed."""
    draw = partial(show_gap, draw_photographed) if gap else draw_photographed
    framing = draw(person, rng)
    colour, matte = place(person, framing, size, original=True)
    frame, alpha = colour.astype(np.float32), unit(matte)
    if rng.random() < DYED:
        own = place(person, framing, size)[0].astype(np.float32)
        dyed = dye_clothes(own, alpha, person, framing, rng)
        frame = np.clip(frame + alpha[..., None] * (dyed - own), 0, 255)
    return frame, alpha


def _put(
    person: Portrait,
    background: FloatImage,
    size: Size,
    rng: np.random.Generator,
    gap: bool = False,
    second: bool = False,
) -> tuple[FloatImage, FloatImage]:
    """Composite a person over `background`: a room, or with `second` what shows the first person.

    Returns the frame and this person's alpha.
    """
    draw = draw_passer if second else draw_webcam if rng.random() < 0.5 else draw_varied
    framing = show_gap(draw, person, rng) if gap else draw(person, rng)
    colour, matte = place(person, framing, size)
    foreground, alpha = colour.astype(np.float32), unit(matte)
    if rng.random() < DYED:
        foreground = dye_clothes(foreground, alpha, person, framing, rng)
    if rng.random() < ARMS:
        foreground, alpha = add_arms(foreground, alpha, person, framing, rng)
    if rng.random() < WORN:
        foreground, alpha = add_worn(foreground, alpha, person, framing, rng)
    foreground = camera.match_light(foreground, alpha, background, rng)
    if not second and rng.random() < ALIKE:  # a new wall would hide the first person
        background = _alike(_wall(size, rng), foreground, alpha, rng)
    if rng.random() < SHADOWS:
        background = camera.throw_shadow(background, alpha, rng)
    frame = foreground * alpha[..., None] + background * (1 - alpha[..., None])
    return np.asarray(frame, np.float32), alpha


def _bars(frame: Image, alpha: FloatImage, rng: np.random.Generator) -> tuple[Image, FloatImage]:
    height, width = alpha.shape
    bar = rng.uniform(0.05, 0.18)
    inner = (width, height - 2 * int(bar * height))
    if rng.random() < 0.5:
        inner = (width - 2 * int(bar * width), height)
    y, x = (height - inner[1]) // 2, (width - inner[0]) // 2
    out, matte = np.zeros_like(frame), np.zeros_like(alpha)
    out[y : y + inner[1], x : x + inner[0]] = cv2.resize(frame, inner, interpolation=cv2.INTER_AREA)
    matte[y : y + inner[1], x : x + inner[0]] = cv2.resize(
        alpha, inner, interpolation=cv2.INTER_AREA
    )
    return out, matte
