"""JPEG pictures of cameras, into their own YUV."""

from __future__ import annotations

import av

STRICT = {"err_detect": "explode"}
"""FFmpeg would otherwise patch half a picture with grey and not say so."""


class JpegDecoder:
    """Decodes one picture at a time, without delay; also those without tables, as cameras send."""

    def __init__(self) -> None:
        self._codec = av.CodecContext.create("mjpeg", "r")
        self._codec.thread_count = 1  # threads would hold pictures back
        self._codec.options = STRICT

    def decode(self, data: bytes) -> av.VideoFrame | None:
        """The picture, or None if it is damaged."""
        if not data:
            return None
        try:
            pictures = self._codec.decode(av.Packet(data))
        except av.FFmpegError:
            return None
        return pictures[0] if pictures and isinstance(pictures[0], av.VideoFrame) else None
