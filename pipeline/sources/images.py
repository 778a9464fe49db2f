"""Pictures: a single one, or all of a folder in the order of their names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.sources.contract import Source
from seg_stream.pipeline.sources.picture_header import PictureHeader, read_header
from seg_stream.pipeline.types import Image

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})

MOST_PIXELS = 250_000_000
"""More than any camera takes."""


class ImageSource(Source):
    """Yields every picture as a still, in its own size; `paths[frame.index]` is its file.

    Raises:
        UserError: there is no picture, or none that can be read.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.name = str(path)
        self.rate, self.time_base = Fraction(1), Fraction(1)
        if path.is_dir():
            self.paths = sorted(p for p in path.iterdir() if _is_picture(p))
            if not self.paths:
                raise UserError(f"{path} has no pictures; expected {', '.join(sorted(SUFFIXES))}.")
        else:
            self.paths = [path]
        self.is_folder = path.is_dir()
        self.frames = len(self.paths)
        self.height, self.width = (0, 0) if self.is_folder else read_image(path).shape[:2]

    def __iter__(self) -> Iterator[Frame]:
        broken, lost = 0, dict[str, list[Path]]()
        for index, path in enumerate(self.paths):
            captured_s = perf_counter()
            try:
                image, header = _read(path)
            except UserError as error:
                if not self.is_folder:
                    raise
                self.notes.append(f"{error} It was left out.")
                broken += 1
                continue
            for loss in _losses(header):
                lost.setdefault(loss, []).append(path)
            yield Frame(
                index, (image,), "bgr24", Colour(), index, self.time_base, captured_s, still=True
            )
        for loss, paths in lost.items():
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            self.notes.append(f"{paths[0]}{more}: {loss}.")
        if broken == len(self.paths):
            raise UserError(f"{self.name}: none of its {broken} pictures can be read.")

    def close(self) -> None:
        """See `Source.close`."""


def _is_picture(path: Path) -> bool:
    """By its name; hidden files are not the user's."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def read_image(path: Path) -> Image:
    """Read a picture as (H, W, 3) uint8 BGR, turned upright as its EXIF data says.

    Raises:
        UserError: it is missing, not a picture, or too large.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[Image, PictureHeader]:
    if not path.exists():
        raise UserError(f"{path} does not exist; check the name.")
    if not path.is_file():
        raise UserError(f"{path} is a folder or a device, expected a picture.")
    unreadable = f"{path} cannot be read as a picture; expected JPEG, PNG, WebP, BMP or TIFF."
    try:
        data = np.fromfile(path, np.uint8)  # not imread: it cannot open every name on every system
    except OSError:
        raise UserError(unreadable) from None
    header = read_header(data.tobytes())
    if header is None:
        raise UserError(unreadable)
    if header.width * header.height > MOST_PIXELS:  # a small file can claim any size
        raise UserError(
            f"{path} is {header.width}x{header.height}, expected at most "
            f"{MOST_PIXELS // 1_000_000} megapixels; make it smaller first."
        )
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise UserError(unreadable)
    if header.alpha and _is_opaque(data):  # as many a screenshot is
        header = replace(header, alpha=False)
    return np.asarray(image, np.uint8), header


def _is_opaque(data: Image) -> bool:
    """Whether the alpha of a picture that has some is everywhere at its most."""
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 3 or image.shape[2] != 4:
        return False
    return bool(image[..., 3].min() == (65535 if image.dtype == np.uint16 else 255))


def _losses(header: PictureHeader) -> list[str]:
    """What of a picture does not get into its frame."""
    lost = []
    if header.alpha:
        lost.append("the transparency was dropped")
    if header.bits > 8:
        lost.append(f"{header.bits} bits a channel became 8")
    if not header.standard_colours:
        lost.append("the colour profile was dropped, so colours may look different")
    return lost
