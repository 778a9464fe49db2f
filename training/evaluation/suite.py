"""The `portrait` suite: people of a split in webcam framing, in rooms kept out of training.

Half of it is CCP (people on a street, hand-drawn masks), half headshots (soft alpha): the head
alone to the waist, a third to all of the height of a 16:9 or 4:3 frame, cut only by its edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
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
from seg_stream.training.framing import draw_webcam, place
from seg_stream.training.pairs import Portrait, load_backgrounds, load_people, pair_folders

FRAME_ROWS = 360
ROOMS_EACH = 2
SEED = 2024


@dataclass(frozen=True)
class Case:
    """One frame of the suite, uint8 (H, W, 3) BGR, and its true alpha, uint8 (H, W)."""

    frame_bgr: Image
    alpha_hw: Image


def portrait_suite(data: Path, split: str = "test", indoors: bool = False) -> dict[str, list[Case]]:
    """Compose the suite, the same frames every time; a part for each folder of pairs.

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
        raise UserError(f"{data / 'backgrounds'} has no homes or offices; leave --indoors out.")
    rooms = [room for pictures in kinds.values() for room in pictures]
    return {
        name: _cases(load_people(folder, split).portraits, rooms)
        for name, folder in pair_folders(data).items()
    }


def _cases(people: list[Portrait], rooms: list[Image]) -> list[Case]:
    cases = []
    for i, person in enumerate(people):
        for j in range(ROOMS_EACH):
            rng = np.random.default_rng([SEED, i, j])
            framing = draw_webcam(person, rng)
            size = (round(FRAME_ROWS * framing.aspect), FRAME_ROWS)
            colour, matte = place(person, framing, size)
            room = rooms[int(rng.integers(len(rooms)))]
            background = np.asarray(
                cv2.resize(room, size, interpolation=cv2.INTER_AREA), np.float32
            )
            alpha_hw = unit(matte)
            foreground = camera.match_light(colour.astype(np.float32), alpha_hw, background, rng)
            alpha = alpha_hw[..., None]
            frame = foreground * alpha + background * (1 - alpha)
            cases.append(Case(camera.sensor(np.asarray(frame, np.float32), rng), matte))
    return cases


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
