"""A folder of backgrounds to switch between."""

from __future__ import annotations

import os
from pathlib import Path

from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.sinks.encoding import CONTAINERS
from seg_stream.pipeline.sources.images import SUFFIXES

MOST = 200
"""Of a folder with more files than this only the first ones are listed."""


class Playlist:
    """The pictures and videos of a folder in the order of their names; folders in it are left out.

    A link that leads out of the folder is left out too: what the page may choose stays inside.

    Raises:
        UserError: the folder is not there or holds no picture or video.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.entries: tuple[str, ...] = ()
        """The files' absolute names, as they were found last."""
        self.rescan()
        if not self.entries:
            raise UserError(f"The folder {folder} holds no picture or video to use as background.")

    def rescan(self) -> tuple[str, ...]:
        """Look again at what the folder holds.

        Raises:
            UserError: it cannot be read.
        """
        try:
            root = self.folder.resolve(strict=True)
            with os.scandir(root) as found:
                names = sorted(entry.name for entry in found)
        except OSError as error:
            raise UserError(
                f"The folder of backgrounds {self.folder} cannot be read ({error.strerror})."
            ) from None
        kinds = SUFFIXES | CONTAINERS.keys()
        fitting = (
            root / name
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in kinds
        )
        inside = [str(path) for path in fitting if path.is_file() and path.resolve().parent == root]
        self.entries = tuple(inside[:MOST])
        return self.entries
