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
        if not overwrite:
            require_free(target)
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
            raise _exists(self.target) from None
        except OSError:  # a file system without links
            require_free(self.target)
            self.path.replace(self.target)
        self.path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove what was written."""
        self.path.unlink(missing_ok=True)


def require_free(target: Path) -> None:
    """Make sure that nothing, not even a broken link, stands under a name.

    Raises:
        UserError: something does.
    """
    if os.path.lexists(target):
        raise _exists(target)


def _exists(target: Path) -> UserError:
    return UserError(f"{target} exists already; choose another name or add --overwrite.")
