"""The models that ship with seg-stream, and the check that they are what was shipped."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from seg_stream.pipeline.errors import SegStreamError, UserError

FOLDER = Path(__file__).parent
DEFAULT = "portrait-lite"


def find_model(name_or_path: str | Path) -> Path:
    """Return the file of a shipped model by its name, or of any model by its path.

    Raises:
        UserError: there is no such model.
        SegStreamError: a shipped model is not the file that was shipped.
    """
    checksums = _checksums()
    name = str(name_or_path)
    if name in checksums:
        path = FOLDER / f"{name}.onnx"
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != checksums[name]:
            raise SegStreamError(f"The model {path} is damaged or missing; reinstall seg-stream.")
        return path
    path = Path(name_or_path)
    if not path.is_file():
        known = ", ".join(sorted(checksums))
        raise UserError(f"The model {name} does not exist; give an .onnx file or one of: {known}.")
    return path


def is_shipped(name: str) -> bool:
    """Whether it is the name of a shipped model."""
    return name in _checksums()


def _checksums() -> dict[str, str]:
    found: dict[str, str] = json.loads((FOLDER / "checksums.json").read_text("utf-8"))
    return found


def shipped() -> list[str]:
    """The names of the shipped models, the default first."""
    return sorted(_checksums(), key=lambda name: (name != DEFAULT, name))
