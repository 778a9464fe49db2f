"""Label photographs of people with another model, where a second one does not contradict it.

By hand: `python -m seg_stream.training.pseudo_labels PHOTOS OUT --teacher MODEL.onnx` makes OUT a
folder of pairs for `seg-train`. Photographs on which the two models disagree, or that show two
people, are suspect in its `index.csv`, and so left out of training; `sheet.png` shows those kept
with least accord. D.-H. Lee, "Pseudo-Label", 2013.
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from seg_stream.engines.contract import Engine
from seg_stream.engines.select import open_engine
from seg_stream.export.photographs import SUFFIXES
from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.pipeline.types import FloatImage, Image
from seg_stream.training.evaluation.scores import mask_iou
from seg_stream.training.evaluation.suite import predict
from seg_stream.training.pairs import STANDING, read_picture, split_of
from seg_stream.training.records import grid, picture_row, to_bytes, to_png

UPPER_BODY = 0.6
"""The part of a standing person's height on which accord is measured: models for webcams, as the
second one is, seldom saw legs."""
NEAR = 7
"""Pixels around the person within which soft alpha is kept; what is beyond is something else."""
SECOND = 0.25
"""The part of the largest person's area from which another one counts as a second person."""
SHOWN = 24
TILE = (120, 160)


@dataclass(frozen=True)
class Label:
    """A photograph, uint8 (H, W, 3) BGR, and what two models say of it, uint8 (H, W) 0..255.

    `alpha_hw` is the teacher's, of the largest person; `agreement`, 0..1, is how far the other
    model says the same; `alone` whether the teacher sees nobody else of that size.
    """

    path: Path
    frame_bgr: Image
    alpha_hw: Image
    other_hw: Image
    agreement: float
    alone: bool


def label(teacher: Engine, other: Engine, path: Path) -> Label | None:
    """Find the person in a photograph; None if it cannot be decoded.

    Raises:
        UserError: it cannot be read.
    """
    picture = read_picture(path)
    if picture is None:
        return None
    frame_bgr = np.asarray(picture, np.uint8)
    alpha, alone = largest(predict(teacher, frame_bgr))
    second = predict(other, frame_bgr)
    accord = agreement(alpha, second)
    return Label(path, frame_bgr, to_bytes(alpha), to_bytes(second), accord, alone)


def largest(alpha_hw: FloatImage) -> tuple[FloatImage, bool]:
    """The alpha, (H, W) 0..1, of the largest person alone, and whether nobody else is as large."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats((alpha_hw > 0.5).astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    if not len(areas):
        return np.zeros_like(alpha_hw), True
    person = (parts == 1 + int(areas.argmax())).astype(np.uint8)
    near = cv2.dilate(person, np.ones((2 * NEAR + 1, 2 * NEAR + 1), np.uint8))
    return alpha_hw * near, np.count_nonzero(areas > SECOND * areas.max()) == 1


def agreement(alpha_hw: FloatImage, other_hw: FloatImage) -> float:
    """IoU of two masks of a person, (H, W) 0..1; of the upper body where the person stands.

    What the other mask has elsewhere, such as passers-by, does not count. Nobody is no agreement.
    """
    person = alpha_hw > 0.5
    rows, columns = (np.flatnonzero(person.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return 0.0
    last = int(rows[-1])
    if rows[-1] - rows[0] > STANDING * (columns[-1] - columns[0]):
        last = int(rows[0] + UPPER_BODY * (rows[-1] - rows[0]))
    upper = person[: last + 1]
    _, parts = cv2.connectedComponents((other_hw[: last + 1] > 0.5).astype(np.uint8))
    touching: npt.NDArray[np.bool_] = np.isin(parts, np.setdiff1d(parts[upper], 0))
    return mask_iou(touching.astype(np.float32), np.where(upper, np.uint8(255), np.uint8(0)))


def write(labels: Iterator[Label], out: Path, least: float) -> tuple[int, int]:
    """Write a folder of pairs: `images/`, `masks/`, `index.csv` and `sheet.png`, or nothing.

    Args:
        labels: the photographs.
        out: the folder, which must not be there yet.
        least: the agreement, 0..1, below which a pair is suspect.

    Returns:
        How many are suspect, and how many not.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        beside = Path(mkdtemp(prefix=f".{out.name}.", dir=out.absolute().parent))
    except OSError as error:
        raise UserError(f"{out} cannot be made ({error.strerror}); name another folder.") from None
    try:
        counts = _write(labels, beside, least)
        beside.chmod(0o755)  # mkdtemp's is for its owner alone
        beside.rename(out)
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}); make room for it.") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return counts


def _write(labels: Iterator[Label], folder: Path, least: float) -> tuple[int, int]:
    index = io.StringIO()
    rows = csv.writer(index, lineterminator="\n")
    rows.writerow(["id", "split", "suspect", "agreement"])
    for name in ("images", "masks"):
        (folder / name).mkdir()
    suspects, kept, tiles = 0, 0, list[tuple[float, Image]]()
    for each in labels:
        name = each.path.stem
        shutil.copyfile(each.path, folder / "images" / f"{name}{each.path.suffix.lower()}")
        (folder / "masks" / f"{name}.png").write_bytes(to_png(each.alpha_hw))
        suspect = each.agreement < least or not each.alone
        suspects += suspect
        split = "val" if split_of(name) == "val" else "train"
        rows.writerow([name, split, int(suspect), f"{each.agreement:.4f}"])
        if not suspect:
            kept += 1
            small = (
                np.asarray(cv2.resize(picture, TILE, interpolation=cv2.INTER_AREA), np.uint8)
                for picture in (each.frame_bgr, each.alpha_hw, each.other_hw)
            )
            tiles.append((each.agreement, picture_row(*small)))
            tiles = sorted(tiles, key=lambda tile: tile[0])[:SHOWN]
    if tiles:
        sheet = grid([tile for _, tile in tiles], columns=4)
        (folder / "sheet.png").write_bytes(to_png(sheet))
    (folder / "index.csv").write_text(index.getvalue(), encoding="utf-8")
    return suspects, kept


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
        _run(options)
    except SegStreamError as error:
        print(f"pseudo_labels: {error}", file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    except OSError as error:  # of the paths that were given: too long, no right to look
        print(f"pseudo_labels: {error.filename}: {error.strerror}; check it.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("pseudo_labels: interrupted; nothing was written.", file=sys.stderr)
        return 130
    return 0


def _run(options: argparse.Namespace) -> None:
    photos = _photographs(options.photos)
    if options.out.exists() or options.out.is_symlink():
        raise UserError(f"{options.out} is there already; name a folder to be made.")
    if not 0 <= options.least <= 1:
        raise UserError(f"--least is {options.least}; expected a number from 0 to 1.")
    if options.teacher == options.other:
        raise UserError(f"{options.other} cannot contradict itself; give another --other.")
    unreadable: list[Path] = []

    def labels(teacher: Engine, other: Engine) -> Iterator[Label]:
        for path in track(photos, "Labelling", console=Console(stderr=True)):
            found = label(teacher, other, path)
            if found is None:
                unreadable.append(path)
            else:
                yield found
        if len(unreadable) == len(photos):
            raise UserError(f"No photograph in {options.photos} can be decoded; give others.")

    with (
        open_engine("auto", options.teacher, descriptions=options.descriptions) as teacher,
        open_engine("auto", options.other, descriptions=options.descriptions) as other,
    ):
        suspects, kept = write(labels(teacher, other), options.out, options.least)
    for path in unreadable:
        print(f"Skipped: {path} cannot be decoded.")
    print(f"{options.out}: {kept} photographs are labelled, {suspects} are suspect.")
    if not kept:
        raise UserError(
            f"None of the {len(photos)} photographs can be used; {options.out / 'index.csv'} says "
            "how far the models agree: remove that folder and lower --least, or give others."
        )
    print(f"Look at {options.out / 'sheet.png'} before you train on them.")


def _photographs(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"The folder of photographs {folder} does not exist; check the path.")
    photos = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in SUFFIXES and path.is_file()
    ]
    if not photos:
        raise UserError(f"{folder} has no .jpg or .png in it; give a folder of photographs.")
    names = [path.stem for path in photos]
    if odd := next((name for name in names if not name.isprintable()), None):
        raise UserError(f"{folder} has a picture named {odd!r}; rename it in letters.")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{folder} has several pictures named {twice}; rename one of them.")
    return photos


if __name__ == "__main__":
    sys.exit(main())
