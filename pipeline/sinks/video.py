"""Video files: same size, same times, and the sound of the source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av

from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.picture import to_picture
from seg_stream.pipeline.sinks.contract import Sink
from seg_stream.pipeline.sinks.part_file import PartFile
from seg_stream.pipeline.sinks.passthrough import Passthrough

ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    ".mp4": ("libx264", {"preset": "veryfast", "crf": "20"}),
    ".mov": ("libx264", {"preset": "veryfast", "crf": "20"}),
    ".mkv": ("libx264", {"preset": "veryfast", "crf": "20"}),
    ".webm": ("libvpx-vp9", {"crf": "32", "b": "0", "deadline": "realtime", "cpu-used": "7",
                             "row-mt": "1"}),
}  # fmt: skip
"""Encoder and its settings by the output's suffix."""


class VideoSink(Sink):
    """Encodes frames; the file appears under its name when it is whole.

    Args:
        path: output; its suffix chooses container and encoder.
        rate: nominal frames a second, for the encoder's rate control; times come from the frames.
        sample_aspect_ratio: of the source, 0 if unknown.
        sound_from: file whose audio and subtitle streams are copied, packet by packet.
        overwrite: replace an existing file.

    Raises:
        UserError: the suffix is unknown, or the file cannot be made.
    """

    def __init__(
        self,
        path: Path,
        rate: Fraction,
        *,
        sample_aspect_ratio: Fraction = Fraction(0),
        sound_from: Path | None = None,
        overwrite: bool = False,
    ) -> None:
        super().__init__()
        if path.suffix.lower() not in ENCODERS:
            raise UserError(
                f"{path}: the kind '{path.suffix}' is not known for video; expected "
                f"{', '.join(ENCODERS)}."
            )
        self._rate, self._aspect = rate, sample_aspect_ratio
        self._part = PartFile(path, overwrite=overwrite)
        self._stream: av.VideoStream | None = None
        self._passthrough: Passthrough | None = None
        self.cut_short = False
        """Set it when the source was stopped early: the sound then ends with the picture."""
        self._end_s = 0.0
        try:
            self._container = av.open(str(self._part.path), mode="w")
            if sound_from:
                self._passthrough = Passthrough(sound_from, self._container)
        except BaseException:
            self.discard()
            raise

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        picture = to_picture(frame)
        picture.pts, picture.time_base = frame.pts, frame.time_base
        self._end_s = float(frame.pts * frame.time_base + 1 / self._rate)
        with self._writing():
            stream = self._stream or self._start(frame, picture)
            self._mux(stream.encode(picture))

    def finish(self) -> None:
        """See `Sink.finish`."""
        if self._stream is None:
            message = f"{self._part.target} was not written: there was no frame."
            if not self.cut_short:
                raise UserError(message)
            self.notes.append(message)
            self.discard()
            return
        with self._writing():
            self._mux(self._stream.encode(None))
            if self._passthrough:
                self._passthrough.finish(self._end_s if self.cut_short else None)
                self.notes += self._passthrough.notes
            self._close()
            self._part.commit()

    def discard(self) -> None:
        """See `Sink.discard`."""
        with suppress(av.FFmpegError, OSError):  # it tries to write the rest
            self._close()
        self._part.discard()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            raise SegStreamError(
                f"{self._part.target} cannot be written to its end ({error.strerror})."
            ) from error

    def _start(self, frame: Frame, first: av.VideoFrame) -> av.VideoStream:
        name, options = ENCODERS[self._part.target.suffix.lower()]
        stream = self._container.add_stream(name, rate=self._rate, options=dict(options))
        if not isinstance(stream, av.VideoStream):
            raise TypeError(f"{name} is not a video encoder")
        codec = stream.codec_context
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, first.format.name
        codec.time_base = frame.time_base
        if self._aspect:
            codec.sample_aspect_ratio = self._aspect
            # H.264 carries it; PyAV has no way to write it into a WebM container.
            if self._aspect != 1 and name == "libvpx-vp9":
                self.notes.append(
                    f"{self._part.target}: pixels of {self._aspect.numerator}:"
                    f"{self._aspect.denominator} become square in WebM; .mp4 and .mkv keep them."
                )
        _tag(codec, frame)
        if self._passthrough:
            self._passthrough.add_streams(stream)
        self._stream = stream
        return stream

    def _mux(self, packets: list[av.Packet[av.VideoStream]]) -> None:
        for packet in packets:
            if self._passthrough and packet.pts is not None:
                self._passthrough.copy_until(float(packet.pts * packet.time_base))
            self._container.mux(packet)

    def _close(self) -> None:
        if self._passthrough:
            self._passthrough.close()
        container = getattr(self, "_container", None)
        if container:
            container.close()


def _tag(codec: av.VideoCodecContext, frame: Frame) -> None:
    """Write the colour tags the frame came with; BGR was converted to BT.709."""
    if frame.format == "bgr24":
        codec.colorspace = codec.color_primaries = codec.color_trc = 1
        codec.color_range = 1
        return
    colour = frame.colour
    codec.colorspace, codec.color_range = colour.matrix_tag, colour.range_tag
    codec.color_primaries, codec.color_trc = colour.primaries_tag, colour.transfer_tag
