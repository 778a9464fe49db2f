"""Label photographs of people with another model, where a second one does not contradict it.

By hand: `python -m seg_stream.training.pseudo_labels PHOTOS OUT --teacher MODEL.onnx` makes OUT a
folder of pairs for `seg-train`. Photographs on which the two models disagree are suspect in its
`index.csv`, so that they are left out of training; `sheet.png` shows those kept with least accord.
D.-H. Lee, "Pseudo-Label", 2013.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rich.progress import track

from seg_stream.engines.contract import Engine
from seg_stream.engines.select import open_engine
from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.pipeline.sinks.part_file import write_whole
from seg_stream.pipeline.types import FloatImage, Image
from seg_stream.training.evaluation.scores import mask_iou
from seg_stream.training.evaluation.suite import predict
from seg_stream.training.records import grid, picture_row

VALIDATION = 24
"""One of so many photographs goes to the split `val`."""
UPPER_BODY = 0.6
"""The part of a standing person's height that a webcam may see, on which accord is measured."""
NEAR = 15
"""Pixels around the person within which soft alpha is kept; all else is somebody or something."""
SHOWN = 24
TILE = (120, 160)


@dataclass(frozen=True)
class Label:
    """What the teacher says of one photograph, and how far the other model says the same, 0..1."""

    path: Path
    alpha_hw: Image
    agreement: float


def label(teacher: Engine, other: Engine, photos: Sequence[Path]) -> Iterator[Label]:
    """Find the person in each photograph.

    Args:
        teacher: gives the alpha.
        other: gives what it is compared with; parts that do not touch the teacher's person, such as
            passers-by, do not count.
        photos: pictures that OpenCV reads; those that it cannot read are skipped.
    """
    for path in photos:
        frame_bgr = _read(path)
        if frame_bgr is None:
            continue
        alpha = _largest(predict(teacher, frame_bgr))
        yield Label(
            path,
            np.rint(alpha * 255).astype(np.uint8),
            _agreement(alpha, predict(other, frame_bgr)),
        )


def _largest(alpha_hw: FloatImage) -> FloatImage:
    """The alpha of the largest person, and of what is soft around them."""
    person = _parts(alpha_hw > 0.5)
    sizes = np.bincount(person.ravel())[1:]
    if not len(sizes):
        return np.zeros_like(alpha_hw)
    near = np.ones((NEAR, NEAR), np.uint8)
    return alpha_hw * cv2.dilate((person == 1 + int(sizes.argmax())).astype(np.uint8), near)


def _agreement(alpha_hw: FloatImage, other_hw: FloatImage) -> float:
    """IoU of both in the upper body."""
    rows = np.flatnonzero((alpha_hw > 0.5).any(axis=1))
    if not len(rows):
        return 0.0
    hip = int(rows[0] + UPPER_BODY * (rows[-1] - rows[0])) + 1
    person = alpha_hw[:hip] > 0.5
    parts = _parts(other_hw[:hip] > 0.5)
    touching = np.isin(parts, np.setdiff1d(parts[person], 0))
    return mask_iou(touching.astype(np.float32), np.where(person, np.uint8(255), np.uint8(0)))


def _parts(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    return np.asarray(cv2.connectedComponents(mask.astype(np.uint8))[1], np.int32)


def write(labels: Sequence[Label], out: Path, least: float) -> None:
    """Write a folder of pairs: `images/`, `masks/`, `index.csv` and `sheet.png`.

    Args:
        labels: the photographs; suspect where the agreement is below `least`.
        out: the folder, which must not be there yet.
        least: 0..1.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["id", "split", "suspect", "agreement"])
    (out / "images").mkdir(parents=True)
    (out / "masks").mkdir()
    for number, each in enumerate(labels):
        name = each.path.stem
        (out / "images" / each.path.name).write_bytes(each.path.read_bytes())
        cv2.imwrite(str(out / "masks" / f"{name}.png"), each.alpha_hw)
        split = "val" if number % VALIDATION == VALIDATION - 1 else "train"
        rows.writerow([name, split, int(each.agreement < least), f"{each.agreement:.4f}"])
    kept = sorted((each for each in labels if each.agreement >= least), key=lambda x: x.agreement)
    if kept:
        tiles = [_tile(each) for each in kept[:SHOWN]]
        cv2.imwrite(str(out / "sheet.png"), grid(tiles, columns=4))
    write_whole(out / "index.csv", text.getvalue().encode())


def _tile(each: Label) -> Image:
    frame, alpha = (
        np.asarray(cv2.resize(picture, TILE, interpolation=cv2.INTER_AREA), np.uint8)
        for picture in (_read(each.path), each.alpha_hw)
        if picture is not None
    )
    return picture_row(frame, alpha, alpha)


def _read(path: Path) -> Image | None:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    return None if picture is None else np.asarray(picture, np.uint8)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="pseudo_labels", description=__doc__)
    parser.add_argument("photos", type=Path, help="a folder of .jpg or .png photographs")
    parser.add_argument("out", type=Path, help="the folder to make")
    parser.add_argument("--teacher", required=True, help="a model's name or .onnx file")
    parser.add_argument("--other", default="portrait", help="the model that may contradict")
    parser.add_argument("--descriptions", type=Path, help="folder of NAME.toml for the models")
    parser.add_argument("--least", type=float, default=0.85, help="the least agreement, 0 to 1")
    options = parser.parse_args(arguments)
    try:
        photos = _photographs(options.photos)
        if options.out.exists():
            raise UserError(f"{options.out} is there already; name a folder to be made.")
        if not 0 <= options.least <= 1:
            raise UserError(f"--least is {options.least}; expected a number from 0 to 1.")
        with (
            open_engine("auto", options.teacher, descriptions=options.descriptions) as teacher,
            open_engine("auto", options.other, descriptions=options.descriptions) as other,
        ):
            found = label(teacher, other, photos)
            labels = list(track(found, "Labelling", total=len(photos)))
        write(labels, options.out, options.least)
    except (SegStreamError, OSError) as error:
        print(f"pseudo_labels: {error}", file=sys.stderr)
        return 2 if isinstance(error, (UserError, OSError)) else 1
    kept = sum(each.agreement >= options.least for each in labels)
    print(f"{kept} of {len(photos)} photographs are labelled in {options.out}; look at sheet.png.")
    return 0


def _photographs(folder: Path) -> list[Path]:
    photos = [path for path in sorted(folder.glob("*")) if path.suffix in (".jpg", ".jpeg", ".png")]
    if not photos:
        raise UserError(f"{folder} has no .jpg or .png in it; give a folder of photographs.")
    names = [path.stem for path in photos]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(f"{folder} has several pictures named {min(twice)}; rename one of them.")
    return photos


if __name__ == "__main__":
    sys.exit(main())
