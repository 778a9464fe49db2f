"""Write beside, then rename: a file appears under its name only when it is whole."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from secrets import token_hex

from seg_stream.pipeline.errors import SegStreamError, UserError

LONGEST_NAME = 240
"""Bytes of a file's name, with room for `.lock`; most file systems allow 255."""


class PartFile:
    """A temporary file next to `target`, with the same suffix, that becomes it.

    Raises:
        UserError: the folder is missing or cannot be written, or the target exists and may not be
            replaced.
    """

    def __init__(self, target: Path, *, overwrite: bool) -> None:
        check_target(target, overwrite=overwrite)
        self.target, self._overwrite = target, overwrite
        folder = target.absolute().parent
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
        publish(self.path, self.target, overwrite=self._overwrite)

    def discard(self) -> None:
        """Remove what was written."""
        self.path.unlink(missing_ok=True)


def write_whole(target: Path, content: bytes, *, overwrite: bool = True) -> None:
    """Write a file of known content, whole or not at all.

    Raises:
        UserError: see `PartFile`; what was there before is untouched.
        SegStreamError: the file system refuses, for instance because it is full.
    """
    part = PartFile(target, overwrite=overwrite)
    try:
        part.path.write_bytes(content)
        part.commit()
    except OSError as error:
        raise SegStreamError(
            f"{target} cannot be written to its end ({error.strerror}); free space, or choose "
            "another folder."
        ) from error
    finally:
        part.discard()


def publish(path: Path, target: Path, *, overwrite: bool) -> None:
    """Give a whole file of the same folder tree its final name.

    Raises:
        UserError: another file is there that may not be replaced.
    """
    if overwrite:
        path.replace(target)
        return
    try:
        os.link(path, target)  # unlike a rename, it never replaces
    except FileExistsError:
        raise _exists(target) from None
    except OSError:  # a file system without links
        require_free(target)
        path.replace(target)
    path.unlink(missing_ok=True)


def check_target(target: Path, *, overwrite: bool) -> None:
    """Make sure that a file can come under a name.

    Raises:
        UserError: a folder, a device or a pipe stands there, or a file that may not be replaced,
            or its folder does not exist.
    """
    if target.is_dir():
        raise UserError(f"{target} is a folder, expected a file name for the output.")
    if not overwrite:
        require_free(target)
    if target.exists() and not target.is_file():
        raise UserError(f"{target} is a device or a pipe, expected a file name for the output.")
    folder = target.absolute().parent
    if not folder.is_dir():
        raise UserError(f"The folder {folder} does not exist; create it first.")


def segments_folder(output: Path) -> Path:
    """Where what is done of a long conversion lies until it is whole; see `work_folder.py`."""
    name = f".{output.name}.segments"
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = f".{hashlib.sha256(name.encode()).hexdigest()[:16]}.segments"
    return output.absolute().parent / name


def require_free(target: Path) -> None:
    """Make sure that nothing, not even a broken link, stands under a name.

    Raises:
        UserError: something does.
    """
    if os.path.lexists(target):
        raise _exists(target)


def _exists(target: Path) -> UserError:
    return UserError(f"{target} exists already; choose another name or add --overwrite.")
