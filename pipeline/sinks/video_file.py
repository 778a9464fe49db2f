"""A video file in the making: its packets, what accompanies them, the check that it is whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import av

from seg_stream.pipeline.errors import SegStreamError
from seg_stream.pipeline.sinks.part_file import PartFile
from seg_stream.pipeline.sinks.passthrough import Passthrough
from seg_stream.pipeline.sources.trim import Trim

UNREADABLE = (".webp",)
"""Files that FFmpeg writes but does not read again."""


class VideoFile:
    """Takes encoded pictures in decoding order; the file appears under its name when it is whole.

    Args:
        path: output; its suffix chooses the container.
        sound_from: file whose audio and subtitle streams are copied, packet by packet.
        trim: the part of that file which the pictures are from.
        shown_as: what notes and errors call the file, if not by its path.
        overwrite: replace an existing file.

    Raises:
        UserError: the file cannot be made.
    """

    def __init__(
        self,
        path: Path,
        *,
        sound_from: Path | None = None,
        trim: Trim | None = None,
        shown_as: Path | None = None,
        overwrite: bool = False,
    ) -> None:
        self.path, self.name = path, shown_as or path
        self.notes: list[str] = []
        self.packets = 0
        self._part = PartFile(path, overwrite=overwrite)
        self._passthrough: Passthrough | None = None
        try:
            # Without it Matroska draws a number by lot, and no two files are the same.
            options = {"fflags": "+bitexact"}
            self.container = av.open(str(self._part.path), mode="w", container_options=options)
            if sound_from:
                self._passthrough = Passthrough(sound_from, self.container, trim)
        except BaseException:
            self.discard()
            raise

    def begin(self, stream: av.VideoStream) -> None:
        """Declare what accompanies the pictures; call it once their stream was added."""
        if self._passthrough:
            self._passthrough.add_streams(stream)

    def mux(self, packet: av.Packet[Any]) -> None:
        """Write a packet of pictures, and the sound up to it."""
        if self._passthrough and packet.pts is not None:
            self._passthrough.copy_until(float(packet.pts * packet.time_base))
        self.container.mux(packet)
        self.packets += 1

    def finish(self, end_s: float | None = None) -> None:
        """Write the rest of the sound, up to a time if one is given, and let the file appear.

        Raises:
            SegStreamError: it does not hold every picture that was written.
        """
        if self._passthrough:
            self._passthrough.finish(end_s)
            self.notes += self._passthrough.notes
        self._close()
        self._verify()
        self._part.commit()

    def discard(self) -> None:
        """Throw it away."""
        with suppress(av.FFmpegError, OSError):  # it tries to write the rest
            self._close()
        self._part.discard()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Say of an error which file it stopped.

        Raises:
            SegStreamError: the file cannot be written.
        """
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            raise SegStreamError(
                f"{self.name} cannot be written to its end ({error.strerror})."
            ) from error

    def _verify(self) -> None:
        """Count the pictures in the file: a muxer may drop some without a word."""
        if self.path.suffix.lower() in UNREADABLE:
            return
        with av.open(str(self._part.path)) as container:
            stream = container.streams.video[0]
            found = sum(packet.size > 0 for packet in container.demux(stream))
        if found != self.packets:
            raise SegStreamError(
                f"{self.name} holds {found} of the {self.packets} frames that were written to it; "
                "try another kind of file, and report it."
            )

    def _close(self) -> None:
        if self._passthrough:
            self._passthrough.close()
        container = getattr(self, "container", None)
        if container:
            container.close()
