"""Carry sound, subtitles, titles and chapters from one file to another without touching them."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from seg_stream.pipeline.sources.container import open_video, seek, video_stream
from seg_stream.pipeline.sources.trim import Trim

CONTAINER_TAGS = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder"})
"""Metadata that speak of the file itself and not of what is in it."""


INTERLEAVING_S = 10
"""Seconds by which packets of one time may lie apart in a file."""


class Passthrough:
    """Copies packets of the audio and subtitle streams that the output can hold.

    With a trim only its packets are copied, their time counted from its begin. `notes` names what
    it cannot carry over.
    """

    def __init__(
        self, source: Path, output: av.container.OutputContainer, trim: Trim | None = None
    ) -> None:
        self.notes: list[str] = []
        self._source, self._output = open_video(source), output
        self._trim = trim
        self._shift_s = Fraction(0)
        self._video = video_stream(self._source)
        self._targets: dict[int, Any] = {}
        self._packets: Iterator[av.Packet[Any]] = iter(())
        self._next: av.Packet[Any] | None = None
        self._last_dts: dict[int, int] = {}
        self._unusable: Counter[int] = Counter()

    def add_streams(self, video: av.VideoStream) -> None:
        """Declare the copied streams in the output; call it before the first packet is written.

        `video` is the output's own video stream; it takes over the title and language of the first
        one of the source.
        """
        self._output.metadata.update(_tags(self._source.metadata))
        self._output.set_chapters(self._chapters())
        video.metadata.update(_tags(self._video.metadata))
        chosen = [stream for stream in self._source.streams if self._add(stream)]
        if self._trim:
            start = self._video.start_time or 0
            self._shift_s = self._trim.start_s + start * (self._video.time_base or Fraction(0))
            if chosen and self._trim.start_s:
                base = self._video.time_base or Fraction(1, av.time_base)
                seek(self._source, self._video, round(self._shift_s / base))
        if chosen:
            self._packets = self._source.demux(*chosen)
            self._next = self._read()

    def _add(self, stream: Any) -> bool:
        if stream is self._video:
            return False
        # A stream that FFmpeg has no decoder for has no codec context either.
        codec = stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"
        copied = stream.type in ("audio", "subtitle") and codec != "unknown"
        if not copied or not _fits(stream, codec, self._output.format.name):
            where = f"; {self._output.format.name} cannot hold it" if copied else ""
            self.notes.append(
                f"The {stream.type} stream {stream.index} ({codec}) was left out{where}."
            )
            return False
        target = self._output.add_stream_from_template(stream)
        target.metadata.update(_tags(stream.metadata))
        target.disposition = stream.disposition
        self._targets[stream.index] = target
        return True

    def copy_until(self, end_s: float | None) -> None:
        """Write the packets up to a time of the source, or all that are left."""
        while self._next is not None:
            packet, index = self._next, self._next.stream_index
            dts = packet.dts or 0
            if end_s is not None and float(dts * packet.time_base) > end_s:
                return
            if dts < self._last_dts.get(index, dts):  # files that were joined; no muxer takes it
                self._unusable[index] += 1
            else:
                self._last_dts[index] = dts
                packet.stream = self._targets[index]
                try:
                    self._output.mux(packet)
                except (av.InvalidDataError, av.ArgumentError):  # damaged, or the same time twice
                    self._unusable[index] += 1
            self._next = self._read()

    def _move(self, packet: av.Packet[Any]) -> Fraction:
        """Count a packet's time from the trim's begin; returns when it begins, in seconds."""
        unit = Fraction(packet.time_base)
        shift = round(self._shift_s / unit)
        packet.dts = (packet.dts or 0) - shift
        if packet.pts is None:
            return packet.dts * unit
        packet.pts -= shift
        return packet.pts * unit

    def _chapters(self) -> list[Any]:
        """The source's chapters, or what of them lies in the trim."""
        chapters = self._source.chapters()
        if not self._trim:
            return chapters
        kept = []
        for chapter in chapters:
            unit = chapter["time_base"] or Fraction(1)
            shift = round(self._trim.start_s / unit)
            end = chapter["end"] - shift
            if self._trim.end_s is not None:
                end = min(end, round((self._trim.end_s - self._trim.start_s) / unit))
            start = max(chapter["start"] - shift, 0)
            if start < end:
                kept.append({**chapter, "start": start, "end": end})
        return kept

    def finish(self, end_s: float | None) -> None:
        """Write what is left, up to a time if one is given, and take stock."""
        self.copy_until(end_s)
        for index, count in self._unusable.items():
            self.notes.append(
                f"{count} packets of stream {index} are damaged or go back in time: left out."
            )

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
            if packet is None:
                return None
            if packet.dts is None or not packet.size:
                continue
            if self._trim is None:
                return packet
            begin_s = self._move(packet)
            length_s = self._trim.end_s and self._trim.end_s - self._trim.start_s
            if begin_s >= 0 and (length_s is None or begin_s < length_s):
                return packet
            if length_s is not None and begin_s > length_s + INTERLEAVING_S:
                return None


def _fits(stream: Any, codec: str, container: str) -> bool:
    """Whether a container takes a stream: tried out on an empty file in memory."""
    if container == "mp4" and codec.startswith("pcm_"):
        return False  # its muxer notices only when the packets come
    try:
        with av.open(io.BytesIO(), "w", format=container) as scratch:
            scratch.add_stream_from_template(stream)
            scratch.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _tags(metadata: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in metadata.items() if key.lower() not in CONTAINER_TAGS}
