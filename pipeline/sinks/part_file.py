"""Write beside, then rename: a file appears under its name only when it is whole."""

from __future__ import annotations

import os
from pathlib import Path

from seg_stream.pipeline.errors import UserError


class PartFile:
    """A temporary file next to `target`, with the same suffix, that becomes it.

    Raises:
        UserError: the folder is missing or cannot be written, or the target exists and may not be
            replaced.
    """

    def __init__(self, target: Path, *, overwrite: bool) -> None:
        self.target = target
        folder = target.absolute().parent
        if target.is_dir():
            raise UserError(f"{target} is a folder, expected a file name for the output.")
        if target.exists() and not overwrite:
            raise UserError(f"{target} exists already; choose another name or add --overwrite.")
        if not folder.is_dir():
            raise UserError(f"The folder {folder} does not exist; create it first.")
        self.path = folder / f".{target.stem}.{os.getpid()}.part{target.suffix}"
        try:
            self.path.open("wb").close()
        except OSError as error:
            raise UserError(
                f"The folder {folder} cannot be written ({error.strerror}); choose another."
            ) from None

    def commit(self) -> None:
        """Make the file appear under its name."""
        self.path.replace(self.target)

    def discard(self) -> None:
        """Remove what was written."""
        self.path.unlink(missing_ok=True)
