"""Open the sink that fits a source and the output's name."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.sinks.contract import Sink
from seg_stream.pipeline.sinks.encoding import CONTAINERS, Encoding
from seg_stream.pipeline.sinks.images import ImageSink, SequenceSink, is_numbered
from seg_stream.pipeline.sinks.matte import MatteSink
from seg_stream.pipeline.sinks.video import VideoSink
from seg_stream.pipeline.sources import Source
from seg_stream.pipeline.sources.images import SUFFIXES, ImageSource
from seg_stream.pipeline.sources.video import VideoSource


@dataclass(frozen=True)
class SinkOptions:
    """How outputs are written."""

    encoding: Encoding = field(default_factory=Encoding)
    transparent: bool = False
    overwrite: bool = False


def open_sink(source: Source, output: Path, options: SinkOptions) -> Sink:
    """Open the sink of the composited frames.

    Raises:
        UserError: source and output do not fit, or the output cannot be written.
    """
    if isinstance(source, ImageSource):
        targets = _image_targets(source, output)
        return ImageSink(targets, transparent=options.transparent, overwrite=options.overwrite)
    suffix = output.suffix.lower()
    if is_numbered(output):
        return SequenceSink(output, transparent=options.transparent, overwrite=options.overwrite)
    if suffix in SUFFIXES - CONTAINERS.keys():
        raise UserError(
            f"{output} is a picture but the input is a video; name a video file, or "
            "folder/%06d.png for a picture of every frame."
        )
    video = source if isinstance(source, VideoSource) else None
    return VideoSink(
        output,
        source.rate,
        sample_aspect_ratio=video.sample_aspect_ratio if video else Fraction(0),
        sound_from=video.path if video else None,
        trim=video.trim if video else None,
        encoding=options.encoding,
        transparent=options.transparent,
        overwrite=options.overwrite,
    )


def open_matte_sink(source: Source, output: Path, options: SinkOptions) -> Sink:
    """Open a sink that writes the alpha of the frames as grey pictures, without sound.

    Raises:
        UserError: see `open_sink`.
    """
    if isinstance(source, ImageSource):
        return MatteSink(ImageSink(_image_targets(source, output), overwrite=options.overwrite))
    if is_numbered(output):
        return MatteSink(SequenceSink(output, overwrite=options.overwrite))
    aspect = source.sample_aspect_ratio if isinstance(source, VideoSource) else Fraction(0)
    return MatteSink(
        VideoSink(output, source.rate, sample_aspect_ratio=aspect, overwrite=options.overwrite)
    )


def _image_targets(source: ImageSource, output: Path) -> list[Path]:
    if not source.is_folder:
        if output.suffix.lower() not in SUFFIXES:
            raise UserError(
                f"{output}: the input is a picture, expected an output of the kind "
                f"{', '.join(sorted(SUFFIXES))}."
            )
        return [output]
    if output.suffix.lower() in SUFFIXES | CONTAINERS.keys():
        raise UserError(f"{output}: the input is a folder, expected a folder as output too.")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {output} cannot be made ({error.strerror}).") from None
    return [output / path.name for path in source.paths]
