"""Picture files: one, or a folder of them under the source's names."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.picture import to_bgr
from seg_stream.pipeline.sinks.contract import Sink
from seg_stream.pipeline.sinks.part_file import require_free, write_whole
from seg_stream.pipeline.sources.images import SUFFIXES

TRANSPARENT = (".png", ".webp")
"""The kinds of picture that can hold alpha here."""


def encode(frame: Frame, path: Path, transparent: bool = False) -> bytes:
    """A frame as a picture file of the name's kind.

    Raises:
        UserError: OpenCV does not write it.
    """
    pixels = to_bgr(frame)
    if transparent and frame.alpha_hw is not None:
        pixels = np.dstack([pixels, frame.alpha_hw])
    options = [cv2.IMWRITE_PNG_COMPRESSION, 3] if path.suffix.lower() == ".png" else []
    written, data = cv2.imencode(path.suffix, pixels, options)
    if not written:
        raise UserError(f"{path} cannot be written as a {path.suffix} picture.")
    return np.asarray(data).tobytes()


class ImageSink(Sink):
    """Writes frame `i` to `paths[i]`, each whole or not at all.

    Raises:
        UserError: a file exists and may not be replaced, or cannot be written.
    """

    def __init__(
        self, paths: Sequence[Path], *, transparent: bool = False, overwrite: bool = False
    ) -> None:
        super().__init__()
        self._paths, self._overwrite = paths, overwrite
        self._transparent = transparent
        for path in paths if transparent else ():
            if path.suffix.lower() not in TRANSPARENT:
                raise UserError(
                    f"{path} cannot be transparent; name a {' or '.join(TRANSPARENT)} picture."
                )
        if not overwrite:
            for path in paths:
                require_free(path)

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        path = self._paths[frame.index]
        write_whole(path, encode(frame, path, self._transparent), overwrite=self._overwrite)

    def finish(self) -> None:
        """Every picture is whole already."""

    def discard(self) -> None:
        """The pictures that are whole stay."""


NUMBERED = re.compile(r"(?P<before>[^%]*)%0?(?P<digits>\d*)d(?P<after>[^%]*)")
"""A file name with a place for the frame's number, as FFmpeg writes it: `%06d.png`."""


def is_numbered(output: Path) -> bool:
    """Whether an output's name stands for a picture of every frame."""
    return output.suffix.lower() in SUFFIXES and bool(NUMBERED.fullmatch(output.name))


class SequenceSink(Sink):
    """A video as a folder of numbered pictures; the folder appears when it is whole.

    Args:
        pattern: the pictures' name, `folder/%06d.png`.
        transparent: write the frames' alpha too.
        overwrite: replace a folder of such pictures.

    Raises:
        UserError: something stands under the folder's name and may not be replaced, or the kind of
            picture is unknown or cannot be transparent.
    """

    def __init__(
        self, pattern: Path, *, transparent: bool = False, overwrite: bool = False
    ) -> None:
        super().__init__()
        self._folder, self._name = pattern.parent, pattern.name
        self._transparent, self._overwrite = transparent, overwrite
        kinds = TRANSPARENT if transparent else tuple(sorted(SUFFIXES))
        if pattern.suffix.lower() not in kinds:
            raise UserError(f"{pattern} is no kind for these pictures; use {' or '.join(kinds)}.")
        if not overwrite:
            require_free(self._folder)
        elif os.path.lexists(self._folder):
            self._require_own()
        try:
            self._part = Path(tempfile.mkdtemp(".part", ".", self._folder.absolute().parent))
        except OSError as error:
            raise UserError(f"{self._folder} cannot be written ({error.strerror}).") from None

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        path = self._part / (self._name % frame.index)
        try:
            path.write_bytes(encode(frame, path, self._transparent))
        except OSError as error:
            raise SegStreamError(
                f"{self._folder} cannot be written to its end ({error.strerror})."
            ) from error

    def finish(self) -> None:
        """See `Sink.finish`."""
        if not any(self._part.iterdir()):
            message = f"{self._folder} was not written: there was no frame."
            self.discard()
            if not self.cut_short:
                raise UserError(message)
            self.notes.append(message)
            return
        self._part.chmod(0o755)
        if self._overwrite and os.path.lexists(self._folder):
            self._require_own()
            old = self._part.with_suffix(".old")
            self._folder.rename(old)
            try:
                self._part.rename(self._folder)
            except OSError:
                old.rename(self._folder)
                raise
            shutil.rmtree(old)
            return
        require_free(self._folder)
        self._part.rename(self._folder)

    def discard(self) -> None:
        """See `Sink.discard`."""
        shutil.rmtree(self._part, ignore_errors=True)

    def _require_own(self) -> None:
        """Make sure that the folder to be replaced holds nothing but such pictures, from 0 on."""
        folder = self._folder
        if folder.is_dir() and not folder.is_symlink() and folder.resolve() != Path.cwd():
            names = {path.name for path in folder.iterdir()}
            if names == {self._name % index for index in range(len(names))}:
                return
        raise UserError(
            f"{folder} is not a folder of such pictures and nothing else, so it is not replaced; "
            "choose another name."
        )
