"""Read people with their alpha, and rooms, into memory."""

from __future__ import annotations

import csv
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.foreground import blur_fusion
from seg_stream.pipeline.types import Image, unit
from seg_stream.training.gaps import find_gaps

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

VALIDATION_BACKGROUNDS = (
    "interior_3",
    "room_5",
    "room_6",
    "hdri_st_fagans_interior_",
    "shop_20",
    "shop_21",
)
"""Name prefixes of those that a run is validated in, whole scenes, so that it is not trained in."""

ROOM_ROWS = 480
"""Rooms are kept at most so high."""

STANDING = 1.65
"""A person this many times as high as wide stands, 7.5 heads high; others show head and shoulders.
It parts the street photographs (1.7 and more) from the portraits (1.63 and less)."""

FUSION_RADII = (20, 4)
"""Pixels of the two blurs that part the person's colour from the room's."""
FUSION_REACH = 2 * sum(FUSION_RADII)

GAP_HEADS = (1.1, 4.2)
"""Gaps between arm and body lie so many heads below the top, GAP_WIDTH heads wide at most."""
GAP_WIDTH = 0.9
GAP_AREA = 0.04
"""And are at least so large, in squares of the head's height."""

CUT = 20
"""Alpha, 0..255, above which a person at the picture's edge is cut by it."""


@dataclass(frozen=True)
class Portrait:
    """A person cut out of a picture.

    `foreground_bgr` (H, W, 3) is the person's own colour, also in half-transparent pixels;
    `alpha_hw` (H, W) is 0..255. `top` is the person's first row, `clear` the first one in which the
    picture's edge cuts the person, `cut_xy` (2, N) are all the pixels where it does. `head` is the
    height of the head in pixels, `head_x` its column. `gap_xy` (2, M) are the middles of the gaps
    between the person's arms and body.
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
    gap_xy: npt.NDArray[np.float64]


@dataclass(frozen=True)
class People:
    """The portraits of one folder, and the files that had to be left out, each with its reason."""

    portraits: list[Portrait]
    skipped: list[str]


def pair_folders(data: Path) -> dict[str, Path]:
    """Find the folders of image/mask pairs: `data` itself, or those right below it.

    Raises:
        UserError: there is none, or two have the same name.
    """
    if not data.is_dir():
        if data.is_file():
            raise UserError(f"{data} is a file; give the folder that holds the pairs.")
        raise UserError(f"The data folder {data} does not exist; check the path.")
    below = sorted(path for path in data.iterdir() if not path.name.startswith("."))
    found = {path.name: path for path in below if (path / "images").is_dir()}
    if (data / "images").is_dir():
        # "." has no name of its own; resolve() would rename a folder that is a link.
        name = Path(os.path.abspath(data)).name  # noqa: PTH100
        if name in found:
            raise UserError(
                f"{data} has pairs, and so has the folder '{name}' in it; give one of them "
                "another name."
            )
        found = {name: data, **found}
    if not found:
        raise UserError(
            f"{data} has no pairs to train on; expected a folder with images/ and masks/ (or "
            "alpha/) in it, or several such folders."
        )
    return found


class NoPairsError(UserError):
    """A folder of pairs names none of a split."""


def load_folders(data: Path, split: str, suspects: bool = False) -> dict[str, People]:
    """Read, by its name, each folder of pairs in `data` that has some of this split.

    Raises:
        UserError: see `pair_folders` and `load_people`; or no folder has any.
    """
    read: dict[str, People] = {}
    missing: NoPairsError | None = None
    for name, folder in pair_folders(data).items():
        try:
            read[name] = load_people(folder, split, suspects)
        except NoPairsError as error:
            missing = error
    if missing and not read:
        raise missing
    return read


def load_people(folder: Path, split: str, suspects: bool = False) -> People:
    """Read one folder of pairs: `images/`, `masks/` or `alpha/`, and an optional `index.csv`.

    The index names the pairs (`id`), their `split` (train, val or test) and which are `suspect`;
    without one a tenth of the names goes to val and a tenth to test, the same ones every time.
    Masks are grey, 0..255, or binary in any two values. Portraits of which less than a head is
    clear of the picture's sides are left out.

    Args:
        folder: the folder.
        split: the split to read.
        suspects: keep the rows that the index calls suspect.

    Raises:
        NoPairsError: there is no pair of this split.
        UserError: none can be read, the index is malformed, a mask has no image or another size,
            or is in colour. A file that cannot be decoded is skipped.
    """
    masks = next((folder / name for name in ("masks", "alpha") if (folder / name).is_dir()), None)
    if masks is None:
        raise UserError(f"{folder} has no masks/ or alpha/ beside its images/; add the masks.")
    names = _names(folder, masks, split, suspects)
    with ThreadPoolExecutor() as pool:
        read = list(pool.map(lambda name: _read_pair(folder, masks, name), names))
    portraits = [person for person in read if isinstance(person, Portrait)]
    skipped = [reason for reason in read if isinstance(reason, str)]
    if not portraits:
        raise (UserError if names else NoPairsError)(
            f"{folder} has no readable pair for the split '{split}'"
            f"{f' ({skipped[0]})' if skipped else ''}; add pairs (images/NAME.jpg with "
            f"{masks.name}/NAME.png), or check its index.csv."
        )
    clear = [person for person in portraits if person.clear - person.top > 0.9 * person.head]
    if not clear:
        raise UserError(
            f"In every portrait of {folder} for the split '{split}' the picture's sides cut the "
            "head; add others."
        )
    return People(clear, skipped)


def load_backgrounds(folder: Path, split: str = "train") -> dict[str, list[Image]]:
    """Rooms by kind (the file name's first word), BGR, at most `ROOM_ROWS` rows.

    No room is in two splits. Where no file has a name of `VALIDATION_BACKGROUNDS`, every tenth one
    that is not for tests is for validation; a single one is for both.

    Args:
        folder: JPEG files named `kind_….jpg`.
        split: train, val or test.

    Raises:
        UserError: there is no picture for this split in the folder, or one cannot be read.
    """
    rooms: dict[str, list[Image]] = {}
    for path in _rooms_of(sorted(folder.glob("*.jpg")), split):
        image = read_picture(path)
        if image is None:
            raise UserError(f"{path} is not a picture; expected a photograph of a room.")
        rows, columns = image.shape[:2]
        if rows > ROOM_ROWS:
            size = (max(1, round(columns * ROOM_ROWS / rows)), ROOM_ROWS)
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        rooms.setdefault(path.name.split("_")[0], []).append(np.asarray(image, np.uint8))
    if not rooms:
        raise UserError(
            f"{folder} has no .jpg background for the split '{split}'; give the folder with the "
            "rooms' photos."
        )
    return rooms


def _rooms_of(paths: list[Path], split: str) -> list[Path]:
    test = [path for path in paths if path.name.startswith(TEST_BACKGROUNDS)]
    others = [path for path in paths if path not in test]
    held_out = [path for path in others if path.name.startswith(VALIDATION_BACKGROUNDS)]
    held_out = held_out or others[::10]
    training = [path for path in others if path not in held_out] or held_out
    return {"train": training, "val": held_out, "test": test}[split]


def streets(people: list[Portrait]) -> list[Image]:
    """What stands beside people in their photographs, as more backgrounds; BGR, of any size."""
    views = []
    for person in people:
        columns = np.flatnonzero(person.alpha_hw.max(axis=0) > 5)
        left, right = int(columns[0]), int(columns[-1]) + 1
        sides = (person.image_bgr[:, :left], person.image_bgr[:, right:])
        views += [side for side in sides if side.shape[1] >= person.image_bgr.shape[1] / 4]
    return views


def _names(folder: Path, masks: Path, split: str, suspects: bool) -> list[str]:
    path = folder / "index.csv"
    if not path.exists():
        names = sorted(mask.stem for mask in masks.glob("*.png"))
        return [name for name in names if split_of(name) == split]
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        rows = [row for row in rows if row["split"] == split]
        return [row["id"] for row in rows if suspects or row.get("suspect") in (None, "", "0")]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read ({error}); give a CSV file.") from None
    except KeyError as error:
        raise UserError(f"{path} has no column {error}; expected id and split.") from None


def split_of(name: str) -> str:
    """The split of a pair that no index names: by its name, so that it stays when others come."""
    return {0: "test", 1: "val"}.get(zlib.crc32(os.fsencode(name)) % 10, "train")


def _read_pair(folder: Path, masks: Path, name: str) -> Portrait | str:
    """One portrait, or why it was skipped."""
    images = [folder / "images" / f"{name}{end}" for end in (".jpg", ".jpeg", ".png")]
    image_path = next((path for path in images if path.is_file()), None)
    mask_path = masks / f"{name}.png"
    if image_path is None:
        raise UserError(f"{images[0]} is missing, but its mask is there; add it or drop the mask.")
    if not mask_path.is_file():
        raise UserError(f"{mask_path} is missing, but the index names it; add it or drop the row.")
    image, mask = read_picture(image_path), read_picture(mask_path, cv2.IMREAD_UNCHANGED)
    if image is None or mask is None:
        return f"{image_path if image is None else mask_path} cannot be decoded"
    alpha = _grey(np.asarray(mask), mask_path)
    if alpha.shape != image.shape[:2]:
        raise UserError(
            f"{mask_path} is {alpha.shape[1]}x{alpha.shape[0]}, but its image is "
            f"{image.shape[1]}x{image.shape[0]}; both must have the same size."
        )
    if np.isin(alpha, (0, 255)).all():  # binary: close pinholes, soften the steps
        closed = cv2.morphologyEx(alpha, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
        alpha = np.asarray(cv2.GaussianBlur(closed, (0, 0), 1.0), np.uint8)
    if alpha.max() < 128:
        return f"{mask_path} shows nobody"
    return person_of(name, np.asarray(image, np.uint8), alpha)


def read_picture(path: Path, flags: int = cv2.IMREAD_COLOR) -> npt.NDArray[Any] | None:
    """What OpenCV makes of a picture file, (H, W, 3) uint8 BGR by default; None if it refuses.

    Its own `imread` crashes on names that are not UTF-8.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        return cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flags)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check its rights.") from None
    except cv2.error:  # an empty file, or one that claims to be huge
        return None


def _grey(mask: npt.NDArray[Any], path: Path) -> Image:
    """The mask as (H, W) uint8 0..255; one of two values gets its larger one as 255."""
    colour = mask[..., :3] if mask.ndim == 3 else mask[..., None]
    if (colour != colour[..., :1]).any():
        raise UserError(f"{path} is in colour; a mask must be binary or grey, white for person.")
    grey = colour[..., 0]
    values = np.unique(grey)
    if len(values) <= 2:
        return np.where(grey == values[-1], np.uint8(255 if values[-1] else 0), np.uint8(0))
    return (grey >> 8 if grey.dtype == np.uint16 else grey).astype(np.uint8)


def person_of(name: str, image: Image, alpha: Image) -> Portrait:
    """The portrait of whom `alpha`, uint8 (H, W), shows in `image`, uint8 (H, W, 3) BGR."""
    # Beyond the blurs' reach nothing of the person is left to be told from the room.
    near = tuple(
        slice(max(0, first - FUSION_REACH), end + FUSION_REACH)
        for first, end in (_extent(alpha, axis, above=0) for axis in (1, 0))
    )
    foreground = image.copy()
    colour = blur_fusion(image[near].astype(np.float32), unit(alpha[near]), FUSION_RADII)
    foreground[near] = np.rint(colour).astype(np.uint8)
    (top, bottom), (left, right) = _extent(alpha, axis=1), _extent(alpha, axis=0)
    standing = bottom - top > STANDING * (right - left)
    head = max(1.0, (1 / 7.5 if standing else 0.55) * (bottom - top))
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
        head=head,
        head_x=float((columns * np.arange(len(columns))).sum() / max(columns.sum(), 1.0)),
        gap_xy=_gaps(alpha, top, head),
    )


def _gaps(alpha: Image, top: int, head: float) -> npt.NDArray[np.float64]:
    """The middles, (2, M), of the gaps between arms and body, of whose head that is the height."""
    chin, hips = (round(top + heads * head) for heads in GAP_HEADS)
    middles = find_gaps(alpha[chin:hips], GAP_WIDTH * head, GAP_AREA * head * head)[1]
    return np.asarray(middles + np.array([[0], [chin]]), np.float64)


def _extent(alpha: Image, axis: int, above: int = 127) -> tuple[int, int]:
    inside = np.flatnonzero((alpha > above).any(axis=axis))
    return int(inside[0]), int(inside[-1]) + 1
