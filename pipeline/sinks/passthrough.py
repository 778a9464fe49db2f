"""Carry sound and subtitles from one file to another without touching them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from seg_stream.pipeline.sources.video import open_video


class Passthrough:
    """Copies packets of the audio and subtitle streams that the output can hold.

    `notes` names the streams that it cannot.
    """

    def __init__(self, source: Path, output: av.container.OutputContainer) -> None:
        self.notes: list[str] = []
        self._source, self._output = open_video(source), output
        self._targets: dict[int, Any] = {}
        self._packets: Iterator[av.Packet[Any]] = iter(())
        self._next: av.Packet[Any] | None = None

    def add_streams(self) -> None:
        """Declare the copied streams in the output; call it before the first packet is written."""
        chosen = []
        for stream in (*self._source.streams.audio, *self._source.streams.subtitles):
            codec = stream.codec_context.codec.canonical_name
            if codec not in self._output.supported_codecs:
                self.notes.append(
                    f"The {stream.type} stream {stream.index} ({codec}) does not fit into "
                    f"{self._output.format.name} and was left out; .mkv holds it."
                )
                continue
            self._targets[stream.index] = self._output.add_stream_from_template(stream)
            chosen.append(stream)
        if chosen:
            self._packets = self._source.demux(*chosen)
            self._next = self._read()

    def copy_until(self, end_s: float | None) -> None:
        """Write the packets up to a time of the source, or all that are left."""
        while self._next is not None:
            packet = self._next
            if end_s is not None and float((packet.dts or 0) * packet.time_base) > end_s:
                return
            packet.stream = self._targets[packet.stream_index]
            self._output.mux(packet)
            self._next = self._read()

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _read(self) -> av.Packet[Any] | None:
        """The next packet with a time; flush packets at the end have none."""
        while True:
            try:
                packet = next(self._packets, None)
            except (av.FFmpegError, OSError) as error:
                self.notes.append(f"The sound ends early: it cannot be read ({error.strerror}).")
                return None
            if packet is None or (packet.dts is not None and packet.size):
                return packet
