"""Where frames come from."""

from __future__ import annotations

from pathlib import Path

from seg_stream.pipeline.sources.contract import Source
from seg_stream.pipeline.sources.images import SUFFIXES, ImageSource
from seg_stream.pipeline.sources.video import VideoSource

__all__ = ["Source", "open_file"]


def open_file(path: Path) -> Source:
    """Open a video, a picture, or a folder of pictures.

    Raises:
        UserError: it is none of these.
    """
    if path.is_dir() or path.suffix.lower() in SUFFIXES:
        return ImageSource(path)
    return VideoSource(path)
