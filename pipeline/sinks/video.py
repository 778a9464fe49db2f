"""Video files: same size, same times, and the sound of the source."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame, PixelFormat
from seg_stream.pipeline.picture import to_bt601, to_picture
from seg_stream.pipeline.sinks.contract import Sink
from seg_stream.pipeline.sinks.encoding import Encoding, choose_encoder
from seg_stream.pipeline.sinks.priority import usual_priority
from seg_stream.pipeline.sinks.video_file import VideoFile
from seg_stream.pipeline.sources.trim import Look, Trim
from seg_stream.pipeline.video_gpu import encoder_on_gpu


class VideoSink(Sink):
    """Encodes frames; the file appears under its name when it is whole.

    Args:
        path: output; its suffix chooses the container.
        trim: the part of that file which the frames are from.
        encoding: what the user asks of the encoder.
        transparent: write the frames' alpha too.
        rate: nominal frames a second, for the encoder's rate control; times come from the frames.
        sample_aspect_ratio: of the source, 0 if unknown.
        look: what all frames are to be like; like the first one by default.
        shown_as: what notes and errors call the file, if not by its path.
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
        trim: Trim | None = None,
        encoding: Encoding | None = None,
        transparent: bool = False,
        look: Look | None = None,
        shown_as: Path | None = None,
        overwrite: bool = False,
    ) -> None:
        super().__init__()
        encoding = encoding or Encoding()
        self._encoder = choose_encoder(path, encoding, transparent=transparent)
        if encoding.gpu:
            self._encoder, notes = encoder_on_gpu(self._encoder, encoding)
            self.notes += notes
        self._transparent = transparent
        self._rate, self._aspect = rate, sample_aspect_ratio
        self._stream: av.VideoStream | None = None
        self._end_s = 0.0
        self.packet_pts: list[int] = []
        """Time of each packet that was written, in the frames' time base, in decoding order."""
        self._look = look
        self._file = VideoFile(
            path, sound_from=sound_from, trim=trim, shown_as=shown_as, overwrite=overwrite
        )

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        picture = to_picture(frame, with_alpha=self._transparent)
        if self._encoder.pixels:
            if self._encoder.name == "libwebp_anim":  # always BT.601, limited range
                picture = to_bt601(picture, frame)
            if picture.format.name != self._encoder.pixels:
                picture = picture.reformat(format=self._encoder.pixels)
        picture.pts, picture.time_base = frame.pts, frame.time_base
        self._end_s = float(frame.pts * frame.time_base + 1 / self._rate)
        with self._file.writing():
            stream = self._stream or self._start(frame, picture)
            self._mux(stream.encode(picture))

    def finish(self) -> None:
        """See `Sink.finish`."""
        if self._stream is None:
            message = f"{self._file.name} was not written: there was no frame."
            if not self.cut_short:
                raise UserError(message)
            self.notes.append(message)
            self.discard()
            return
        with self._file.writing():
            self._mux(self._stream.encode(None))
            self._file.finish(self._end_s if self.cut_short else None)
        self.notes += self._file.notes

    def discard(self) -> None:
        """See `Sink.discard`."""
        self._file.discard()

    def _start(self, frame: Frame, first: av.VideoFrame) -> av.VideoStream:
        encoder = self._encoder
        name = encoder.name
        container = self._file.container
        stream = container.add_stream(name, rate=self._rate, options=dict(encoder.options))
        if not isinstance(stream, av.VideoStream):
            raise TypeError(f"{name} is not a video encoder")
        codec = stream.codec_context
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, first.format.name
        if self._look and self._look.format != "bgr24" and not encoder.pixels:
            stream.pix_fmt = self._look.format  # the codec converts what is not
        codec.time_base = frame.time_base
        if encoder.bitrate:
            codec.bit_rate = encoder.bitrate
        if encoder.tag:
            codec.codec_tag = encoder.tag
        if self._transparent and name == "libvpx-vp9":
            stream.metadata["alpha_mode"] = "1"
        if self._aspect:
            codec.sample_aspect_ratio = self._aspect
            # H.264 carries it; PyAV has no way to write it into a WebM container.
            if self._aspect != 1 and name == "libvpx-vp9":
                self.notes.append(
                    f"{self._file.name}: pixels of {self._aspect.numerator}:"
                    f"{self._aspect.denominator} become square in WebM; .mp4 and .mkv keep them."
                )
        _tag(codec, frame.format, self._look.colour if self._look else frame.colour)
        self._file.begin(stream)
        try:
            with usual_priority():
                codec.open()
        except av.FFmpegError as error:
            raise UserError(
                f"The encoder {name} does not take pictures of {first.width}x{first.height} with "
                f"these settings ({error.strerror}); choose another --codec, or leave them out."
            ) from None
        self._stream = stream
        return stream

    def _mux(self, packets: list[av.Packet[av.VideoStream]]) -> None:
        for packet in packets:
            if packet.pts is not None:
                self.packet_pts.append(packet.pts)
            self._file.mux(packet)


def _tag(codec: av.VideoCodecContext, format: PixelFormat, colour: Colour) -> None:
    """Write the colour tags the frames came with; BGR was converted to BT.709."""
    if format == "bgr24":
        codec.colorspace = codec.color_primaries = codec.color_trc = 1
        codec.color_range = 1
        return
    codec.colorspace, codec.color_range = colour.matrix_tag, colour.range_tag
    codec.color_primaries, codec.color_trc = colour.primaries_tag, colour.transfer_tag
