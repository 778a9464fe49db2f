"""Wire source, effect and sink, and run them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from threading import Event

from seg_stream.engines.models import DEFAULT
from seg_stream.pipeline.effect import VirtualBackground
from seg_stream.pipeline.errors import Stopped, UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.matte import MatteSettings
from seg_stream.pipeline.runner import RunReport, Stage, run
from seg_stream.pipeline.sinks.contract import Sink
from seg_stream.pipeline.sinks.encoding import CONTAINERS, Encoding
from seg_stream.pipeline.sinks.images import ImageSink, SequenceSink, is_numbered
from seg_stream.pipeline.sinks.matte import MatteSink
from seg_stream.pipeline.sinks.video import VideoSink
from seg_stream.pipeline.sources import Source, open_file
from seg_stream.pipeline.sources.images import SUFFIXES, ImageSource
from seg_stream.pipeline.sources.trim import Trim
from seg_stream.pipeline.sources.video import VideoSource


@dataclass
class Summary:
    """What a run did: the runner's figures, the engine that really ran, and notes for the user."""

    run: RunReport
    engine: str
    notes: list[str] = field(default_factory=list)
    stopped: bool = False
    """The run was asked to stop before the source ended."""


def convert(
    input: str | Path,
    output: str | Path,
    *,
    background: str | Path = "blur",
    model: str | Path = DEFAULT,
    engine: str = "auto",
    matte: MatteSettings | None = None,
    every: int = 1,
    encoding: Encoding | None = None,
    matte_output: str | Path | None = None,
    trim: Trim | None = None,
    overwrite: bool = False,
    keep_partial: bool = True,
    stop: Event | None = None,
    progress: Callable[[RunReport, int | None], None] | None = None,
) -> Summary:
    """Put a background behind the person in a video, a picture, or a folder of pictures.

    Args:
        input: what to read.
        output: what to write: a video file, or `folder/%06d.png` for numbered pictures, for a
            video; a picture for a picture, a folder for a folder. It appears when it is whole.
        background: `blur`, `#rrggbb`, `transparent`, or the name of a picture or video file.
        model: name of a shipped model or path of an ONNX file.
        engine: `auto` or an engine's name.
        matte: how the alpha is made.
        every: run the network on every so many frames and move the mask along in between.
        encoding: what the encoder is asked for.
        matte_output: also write the alpha there, as grey video or pictures.
        trim: convert only this part of a video.
        overwrite: replace an existing output.
        keep_partial: finish what was read when `stop` is set; else nothing appears.
        stop: set it to end early.
        progress: called after each frame with the figures so far and the expected frame count.

    Raises:
        UserError: something that was asked for cannot be done.
        Stopped: it was stopped, and nothing was to be kept.
        SegStreamError: a stage failed.
    """
    input, output = Path(input), Path(output)
    with ExitStack() as stack:
        source = stack.enter_context(open_file(input, trim))
        targets = [output, *([Path(matte_output)] if matte_output else [])]
        for target in targets:
            _refuse_inputs_as_outputs(source, input, Path(background), target)
        if len({_place(target) for target in targets}) < len(targets):
            raise UserError(f"{output} is given for the video and for its matte; name two files.")
        effect = stack.enter_context(
            VirtualBackground(
                background,
                model=model,
                engine=engine,
                matte=matte,
                keep_alpha=matte_output is not None,
                every=every,
            )
        )
        options = SinkOptions(encoding or Encoding(), effect.transparent, overwrite)
        sinks = [stack.enter_context(open_sink(source, output, options))]
        if matte_output:
            sinks.append(stack.enter_context(open_matte_sink(source, targets[1], options)))
        summary = stream(source, effect, sinks, stop=stop, progress=progress)
        if summary.stopped and not keep_partial:
            raise Stopped(f"{input} was stopped; nothing was written.")
        for sink in sinks:
            sink.cut_short = summary.stopped
    for sink in sinks:
        summary.notes += sink.notes
    return summary


def stream(
    source: Source,
    effect: VirtualBackground,
    sinks: list[Sink],
    *,
    stop: Event | None = None,
    progress: Callable[[RunReport, int | None], None] | None = None,
) -> Summary:
    """Run an open source through an open effect into open sinks until it ends or `stop` is set."""
    stop = stop or Event()

    def write(frame: Frame) -> None:
        for sink in sinks:
            sink.write(frame)

    report = run(
        source,
        effect.stages,
        Stage("write", write),
        live=source.live,
        stop=stop,
        progress=(lambda so_far: progress(so_far, source.frames)) if progress else None,
    )
    return Summary(report, effect.engine.name, list(source.notes), report.stopped)


@dataclass(frozen=True)
class SinkOptions:
    """How outputs are written."""

    encoding: Encoding = field(default_factory=Encoding)
    transparent: bool = False
    overwrite: bool = False


def open_sink(source: Source, output: Path, options: SinkOptions) -> Sink:
    """Open the sink that fits a source and the output's name.

    Raises:
        UserError: they do not fit, or the output cannot be written.
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


def _place(target: Path) -> Path:
    """What a name would write: itself, or, for numbered pictures, their folder."""
    return (target.parent if is_numbered(target) else target).resolve()


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


def _refuse_inputs_as_outputs(source: Source, input: Path, background: Path, output: Path) -> None:
    """Nothing that is read may be written, also under another name or behind a link."""
    read, written = [input, background], [output]
    if isinstance(source, ImageSource):
        read, written = [*source.paths, background], _image_targets(source, output)
    taken = {_identity(path) for path in read if path.is_file()}
    if is_numbered(output):
        written = list(output.parent.iterdir()) if output.parent.is_dir() else []
    for path in written:
        if path.is_file() and _identity(path) in taken:
            raise UserError(
                f"{path} is the input itself or the background; choose another name for the output."
            )


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
