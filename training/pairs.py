"""Read portraits with their alpha, and rooms, into memory."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.foreground import blur_fusion
from seg_stream.pipeline.types import Image, unit

TEST_BACKGROUNDS = (
    "interior_4",
    "room_7",
    "room_8",
    "hdri_lebombo_",
    "hdri_studio_small_03_",
    "shop_22",
    "shop_23",
)
"""Name prefixes of the backgrounds that no model is trained on."""


CUT = 20
"""Alpha, 0..255, above which a person at the picture's edge is cut by it."""


@dataclass(frozen=True)
class Portrait:
    """A person cut out of a picture.

    `foreground_bgr` (H, W, 3) is the person's own colour, also in half-transparent pixels;
    `alpha_hw` (H, W) is 0..255. `top` is the person's first row, `clear` the first one in which the
    picture's edge cuts the person, `cut_xy` (2, N) are all the pixels where it does. `head` is the
    height of the head in pixels, `head_x` its column.
    """

    id: str
    image_bgr: Image
    foreground_bgr: Image
    alpha_hw: Image
    top: int
    clear: int
    cut_xy: npt.NDArray[np.int64]
    head: float
    head_x: float


def load_ccp(folder: Path, split: str, suspects: bool = False) -> list[Portrait]:
    """Standing people with binary masks (Clothing Co-Parsing); the masks' steps are softened.

    Raises:
        UserError: the index or a file of it is missing or unreadable.
    """
    people = []
    for row in _index(folder, split, suspects):
        image = _read(folder / "images" / f"{row['id']}.jpg", cv2.IMREAD_COLOR)
        mask = _read(folder / "masks" / f"{row['id']}.png", cv2.IMREAD_GRAYSCALE)
        closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
        alpha = np.asarray(cv2.GaussianBlur(closed, (0, 0), 1.0), np.uint8)
        top, bottom = _extent(alpha)
        people.append(_portrait(row["id"], image, alpha, head=(bottom - top) / 7.5))
    return people


def load_headshots(folder: Path, split: str, suspects: bool = False) -> list[Portrait]:
    """Head-and-shoulders portraits with soft alpha, cut by the picture's lower and side edges.

    Raises:
        UserError: the index or a file of it is missing or unreadable.
    """
    people = []
    for row in _index(folder, split, suspects):
        image = _read(folder / "images" / f"{row['id']}.jpg", cv2.IMREAD_COLOR)
        alpha = _read(folder / "alpha" / f"{row['id']}.png", cv2.IMREAD_GRAYSCALE)
        top, bottom = _extent(alpha)
        people.append(_portrait(row["id"], image, alpha, head=0.55 * (bottom - top)))
    return [person for person in people if person.clear - person.top > 0.9 * person.head]


def load_backgrounds(folder: Path, test: bool = False) -> dict[str, list[Image]]:
    """Rooms by kind (the file name's first word), BGR, at most 480 rows.

    Args:
        folder: JPEG files named `kind_….jpg`.
        test: load the ones kept out of training instead of the others.

    Raises:
        UserError: there is no picture in the folder, or one cannot be read.
    """
    rooms: dict[str, list[Image]] = {}
    for path in sorted(folder.glob("*.jpg")):
        if path.name.startswith(TEST_BACKGROUNDS) != test:
            continue
        image = _read(path, cv2.IMREAD_COLOR)
        scale = 480 / image.shape[0]
        if scale < 1:
            smaller = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            image = np.asarray(smaller, np.uint8)
        rooms.setdefault(path.name.split("_")[0], []).append(image)
    if not rooms:
        raise UserError(f"{folder} has no .jpg background; give the folder with the rooms' photos.")
    return rooms


def streets(people: list[Portrait]) -> list[Image]:
    """What stands beside people in their photographs, as more backgrounds; BGR, of any size."""
    views = []
    for person in people:
        columns = np.flatnonzero(person.alpha_hw.max(axis=0) > 5)
        left, right = int(columns[0]), int(columns[-1]) + 1
        sides = (person.image_bgr[:, :left], person.image_bgr[:, right:])
        views += [side for side in sides if side.shape[1] >= person.image_bgr.shape[1] / 4]
    return views


def _portrait(name: str, image: Image, alpha: Image, head: float) -> Portrait:
    colour = blur_fusion(image.astype(np.float32), unit(alpha), (20, 4))
    foreground = np.rint(colour).astype(np.uint8)
    top, bottom = _extent(alpha)
    ys, xs = np.nonzero(alpha > CUT)
    on_edge = (ys == 0) | (ys == alpha.shape[0] - 1) | (xs == 0) | (xs == alpha.shape[1] - 1)
    on_side = ys[(xs == 0) | (xs == alpha.shape[1] - 1)]
    columns = alpha[top : top + max(1, int(head))].sum(axis=0, dtype=np.float64)
    return Portrait(
        id=name,
        image_bgr=image,
        foreground_bgr=foreground,
        alpha_hw=alpha,
        top=top,
        clear=int(on_side.min()) if len(on_side) else bottom,
        cut_xy=np.stack([xs[on_edge], ys[on_edge]]),
        head=max(head, 1.0),
        head_x=float((columns * np.arange(len(columns))).sum() / max(columns.sum(), 1.0)),
    )


def _extent(alpha: Image) -> tuple[int, int]:
    rows = np.flatnonzero((alpha > 127).any(axis=1))
    return (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, alpha.shape[0])


def _index(folder: Path, split: str, suspects: bool) -> Sequence[dict[str, str]]:
    path = folder / "index.csv"
    try:
        with path.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["split"] == split]
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); give the data folder."
        ) from None
    except KeyError:
        raise UserError(f"{path} has no column 'split'; expected id, split and suspect.") from None
    return [row for row in rows if suspects or row["suspect"] == "0"]


def _read(path: Path, flag: int) -> Image:
    picture = cv2.imread(str(path), flag)
    if picture is None:
        raise UserError(
            f"{path} is missing or is not a picture; expected the file of its index row."
        )
    return np.asarray(picture, np.uint8)
