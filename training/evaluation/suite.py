"""People of a split in webcam framing: in rooms kept out of training, or where they were.

Half of the `portrait` suite is CCP (people on a street, hand-drawn masks), half headshots (soft
alpha): the head alone to the waist, a third to all of the height of a 16:9 or 4:3 frame, cut only
by its edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from seg_stream.engines.contract import Engine
from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.prepare import prepare
from seg_stream.pipeline.types import FloatImage, Image, unit
from seg_stream.training import camera
from seg_stream.training.evaluation.scores import shows_gap
from seg_stream.training.framing import (
    Draw,
    draw_photographed,
    draw_webcam,
    place,
    show_gap,
)
from seg_stream.training.pairs import Portrait, load_backgrounds, load_folders

FRAME_ROWS = 360
ROOMS_EACH = 2
SEED = 2024


@dataclass(frozen=True)
class Case:
    """One frame of the suite, uint8 (H, W, 3) BGR, and its true alpha, uint8 (H, W)."""

    frame_bgr: Image
    alpha_hw: Image


def portrait_suite(data: Path, split: str = "test", indoors: bool = False) -> dict[str, list[Case]]:
    """Compose the `portrait` suite, the same frames every time; a part for each folder of pairs.

    Suspect masks, and portraits of which less than a head is clear of the edge, are left out. Tune
    on `val`; `test` is for reporting.

    Args:
        data: holds folders of pairs (`ccp`, `headshots`) and `backgrounds`.
        split: val or test, of the people and of the rooms; neither is in the training.
        indoors: use only homes and offices, which are few but hard: chairs, tables, shelves.

    Raises:
        UserError: data are missing or unreadable.
    """
    kinds = load_backgrounds(data / "backgrounds", split)
    if indoors:
        kinds = {kind: kinds[kind] for kind in ("interior", "room") if kind in kinds}
    if not kinds:
        raise UserError(f"{data / 'backgrounds'} has no homes or offices; choose another --suite.")
    rooms = [room for pictures in kinds.values() for room in pictures]
    return {
        name: _cases(people.portraits, rooms) for name, people in load_folders(data, split).items()
    }


def photographed_suite(
    data: Path, split: str = "test", gaps: bool = False
) -> dict[str, list[Case]]:
    """The people where they were photographed: what no composite has, shared light and true edges.

    Frames lie inside the photographs, of which only those are used that show somebody whole, so
    that most people fill nearly all of the height. Passers-by are background.

    Args:
        data: holds folders of pairs.
        split: val or test.
        gaps: use only the frames that show a gap between arm and body.

    Raises:
        UserError: data are missing or unreadable, or nobody is whole, or has gaps.
    """
    draw = partial(show_gap, draw_photographed) if gaps else draw_photographed
    parts = {}
    for name, people in load_folders(data, split).items():
        whole = [person for person in people.portraits if not person.cut_xy.size]
        if gaps:
            whole = [person for person in whole if person.gap_xy.size]
        cases = _cases(whole, None, draw)
        if gaps:
            cases = [case for case in cases if shows_gap(case.alpha_hw)]
        if cases:
            parts[name] = cases
    if not parts:
        shown = "a gap between arm and body" if gaps else "somebody whole"
        raise UserError(f"No photograph in {data} shows {shown}; choose another --suite.")
    return parts


def _cases(
    people: list[Portrait],
    rooms: list[Image] | None,
    draw: Draw = draw_webcam,
) -> list[Case]:
    """Each person in front of rooms, or of their own surroundings."""
    cases = []
    for i, person in enumerate(people):
        for j in range(ROOMS_EACH):
            rng = np.random.default_rng([SEED, i, j])
            framing = draw(person, rng)
            size = (round(FRAME_ROWS * framing.aspect), FRAME_ROWS)
            colour, matte = place(person, framing, size, original=rooms is None)
            frame = colour.astype(np.float32)
            if rooms is not None:
                frame = _composite(frame, unit(matte), rooms[int(rng.integers(len(rooms)))], rng)
            cases.append(Case(camera.sensor(frame, rng), matte))
    return cases


def _composite(
    foreground: FloatImage, alpha_hw: FloatImage, room: Image, rng: np.random.Generator
) -> FloatImage:
    size = alpha_hw.shape[::-1]
    background = np.asarray(cv2.resize(room, size, interpolation=cv2.INTER_AREA), np.float32)
    lit = camera.match_light(foreground, alpha_hw, background, rng)
    alpha = alpha_hw[..., None]
    return np.asarray(lit * alpha + background * (1 - alpha), np.float32)


def predict(engine: Engine, frame_bgr: Image) -> FloatImage:
    """The engine's probability for one frame, float32 (H, W) at the frame's size.

    The model sees the frame through the pipeline's own `prepare`.
    """
    frame = as_frame(frame_bgr)
    mask_hw = engine.infer(prepare(frame, engine.input, engine.info))
    size = (frame.width, frame.height)
    return np.asarray(cv2.resize(mask_hw, size, interpolation=cv2.INTER_LINEAR), np.float32)


def as_frame(frame_bgr: Image) -> Frame:
    """A picture, uint8 (H, W, 3) BGR, as the pipeline's frame."""
    return Frame(0, (frame_bgr,), "bgr24", Colour(), 0, Fraction(1), 0.0, still=True)
