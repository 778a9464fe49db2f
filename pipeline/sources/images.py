"""Pictures: a single one, or all of a folder in the order of their names."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.sources.contract import Source
from seg_stream.pipeline.types import Image

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})


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
        broken = 0
        for index, path in enumerate(self.paths):
            captured_s = perf_counter()
            try:
                image = read_image(path)
            except UserError as error:
                if not self.is_folder:
                    raise
                self.notes.append(f"{error} It was left out.")
                broken += 1
                continue
            yield Frame(
                index, (image,), "bgr24", Colour(), index, self.time_base, captured_s, still=True
            )
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
        UserError: it is missing or not a picture.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist; check the name.")
    if not path.is_file():
        raise UserError(f"{path} is a folder or a device, expected a picture.")
    try:
        data = np.fromfile(path, np.uint8)  # not imread: it cannot open every name on every system
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):
        image = None
    if image is None:
        raise UserError(
            f"{path} cannot be read as a picture; expected JPEG, PNG, WebP or the like."
        )
    return np.asarray(image, np.uint8)
