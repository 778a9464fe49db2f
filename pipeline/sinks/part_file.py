"""Write beside, then rename: a file appears under its name only when it is whole."""

from __future__ import annotations

import os
from pathlib import Path
from secrets import token_hex

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
        self._overwrite = overwrite
        if os.path.lexists(target) and not overwrite:
            raise self._exists()
        if not folder.is_dir():
            raise UserError(f"The folder {folder} does not exist; create it first.")
        self.path = folder / f".{token_hex(8)}.part{target.suffix}"
        try:
            self.path.open("xb").close()
        except OSError as error:
            raise UserError(
                f"The folder {folder} cannot be written ({error.strerror}); choose another."
            ) from None

    def commit(self) -> None:
        """Make the file appear under its name.

        Raises:
            UserError: another file has come under that name in between.
        """
        if self._overwrite:
            self.path.replace(self.target)
            return
        try:
            os.link(self.path, self.target)  # unlike a rename, it never replaces
        except FileExistsError:
            raise self._exists() from None
        except OSError:  # a file system without links
            if os.path.lexists(self.target):
                raise self._exists() from None
            self.path.replace(self.target)
        self.path.unlink(missing_ok=True)

    def _exists(self) -> UserError:
        return UserError(f"{self.target} exists already; choose another name or add --overwrite.")

    def discard(self) -> None:
        """Remove what was written."""
        self.path.unlink(missing_ok=True)
