"""Where frames come from."""

from __future__ import annotations

from pathlib import Path

from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.sources.contract import Source
from seg_stream.pipeline.sources.images import SUFFIXES, ImageSource
from seg_stream.pipeline.sources.trim import Trim
from seg_stream.pipeline.sources.video import VideoSource

__all__ = ["Source", "open_file"]


def open_file(path: Path, trim: Trim | None = None, *, gpu: bool = False) -> Source:
    """Open a video (or the part of it within `trim`), a picture, or a folder of pictures.

    Raises:
        UserError: it is none of these.
    """
    if path.is_dir() or path.suffix.lower() in SUFFIXES:
        if trim:
            raise UserError(f"{path} is no video, so there is nothing to trim; leave --trim out.")
        return ImageSource(path)
    return VideoSource(path, trim, gpu=gpu)
