"""Step 6: the photographs that the exported model is compared on."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np

from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.types import FloatImage

SUFFIXES = {".jpg", ".jpeg", ".png"}
SCIKIT_IMAGE_PHOTOGRAPHS = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")
MOST = 8


def read_photographs(folder: Path | None, height: int, width: int) -> list[FloatImage]:
    """Read up to eight photographs, scaled to the size that the model takes.

    Args:
        folder: a folder of JPEG or PNG files; None takes those that come with scikit-image, among
            them one of a person.
        height: height of the model's input in pixels.
        width: its width.

    Returns:
        Arrays of (1, 3, height, width) float32, RGB 0..255.

    Raises:
        UserError: there are none, or one cannot be read.
    """
    paths = _in_folder(folder) if folder else _of_scikit_image()
    return [_read(path, height, width) for path in paths[:MOST]]


def _in_folder(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"The folder of photographs {folder} does not exist; check --images.")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise UserError(f"The folder {folder} has no .jpg or .png photographs; check --images.")
    return paths


def _of_scikit_image() -> list[Path]:
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise UserError(
            "The exported model is compared on real photographs and there are none here; pass a "
            "folder of some with --images."
        )
    folder = Path(spec.origin).parent / "data"
    return [folder / name for name in SCIKIT_IMAGE_PHOTOGRAPHS]


def _read(path: Path, height: int, width: int) -> FloatImage:
    image_bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image_bgr is None:
        raise UserError(f"{path} cannot be read as a picture; take it out of the folder.")
    scaled = cv2.resize(image_bgr, (width, height), interpolation=cv2.INTER_AREA)
    image_rgb = cv2.cvtColor(scaled, cv2.COLOR_BGR2RGB)
    return np.ascontiguousarray(image_rgb.transpose(2, 0, 1)[None], dtype=np.float32)
