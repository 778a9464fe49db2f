"""Convert one file: wire source, effect and sinks, and run them."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from seg_stream.engines.models import DEFAULT
from seg_stream.engines.select import EngineChoice
from seg_stream.pipeline.errors import Stopped
from seg_stream.pipeline.job import SEGMENT_S, Job, open_effect
from seg_stream.pipeline.look import Look
from seg_stream.pipeline.matte import MatteSettings
from seg_stream.pipeline.outputs import SinkOptions, open_matte_sink, open_sink
from seg_stream.pipeline.sinks.encoding import Encoding
from seg_stream.pipeline.sinks.part_file import segments_folder
from seg_stream.pipeline.sources import Source, open_file
from seg_stream.pipeline.sources.trim import Trim
from seg_stream.pipeline.sources.video import VideoSource
from seg_stream.pipeline.stream import Progress, Summary, stream

if TYPE_CHECKING:
    from seg_stream.pipeline.segments import Plan


def convert(
    input: str | Path,
    output: str | Path,
    *,
    background: str | Path = "blur",
    model: str | Path = DEFAULT,
    engine: str | EngineChoice = "auto",
    matte: MatteSettings | None = None,
    look: Look | None = None,
    every: int = 1,
    encoding: Encoding | None = None,
    matte_output: str | Path | None = None,
    trim: Trim | None = None,
    overwrite: bool = False,
    segment_s: int = SEGMENT_S,
    resume: bool = False,
    keep_partial: bool = True,
    stop: Event | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Put a background behind the person in a video, a picture, or a folder of pictures.

    Args:
        input: what to read.
        output: what to write: a video file, or `folder/%06d.png` for numbered pictures, for a
            video; a picture for a picture, a folder for a folder. It appears when it is whole.
        background: `blur`, `#rrggbb`, `transparent`, or the name of a picture or video file.
        model: name of a shipped model or path of an ONNX file.
        engine: `auto` or an engine's name, or a choice that names the GPU too.
        matte: how the alpha is made.
        look: how person and background are made to fit.
        every: run the network on every so many frames and move the mask along in between.
        encoding: what the encoder is asked for.
        matte_output: also write the alpha there, as grey video or pictures.
        trim: convert only this part of a video.
        overwrite: replace an existing output.
        segment_s: a long video is converted in pieces of so many seconds, which a stopped run
            leaves for the next one; 0 converts it as one.
        resume: go on with what an earlier run left, and leave what is done if this one is stopped.
        keep_partial: finish what was read when `stop` is set; else nothing appears.
        stop: set it to end early.
        progress: called after each frame with the figures so far and the expected frame count.

    Raises:
        UserError: something that was asked for cannot be done.
        Stopped: it was stopped, and nothing was to be kept.
        SegStreamError: a stage failed.
    """
    job = Job(
        Path(input),
        Path(output),
        str(background),
        str(model),
        engine,
        matte or MatteSettings(),
        look or Look(),
        every,
        encoding or Encoding(),
        Path(matte_output) if matte_output else None,
        trim,
        overwrite,
        segment_s,
    )
    return run_job(job, resume=resume, keep_partial=keep_partial, stop=stop, progress=progress)


def run_job(
    job: Job,
    *,
    resume: bool = False,
    keep_partial: bool = True,
    stop: Event | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Do what a job says; see `convert`."""
    with open_file(job.input, job.trim, gpu=job.encoding.gpu) as source:
        job.refuse_inputs_as_outputs(source)
        plan: Plan | None = None
        if job.is_long(source):
            from seg_stream.pipeline.segments import plan_segments

            plan = plan_segments(job, source)
        if plan is None:
            summary = run_whole(
                job, source, keep_partial=keep_partial, stop=stop, progress=progress
            )
            if segments_folder(job.output).is_dir():
                from seg_stream.pipeline.work_folder import forget

                forget(job.output)
            long = source.frames is None or source.frames > 2 * job.segment_s * source.rate
            if resume and long and isinstance(source, VideoSource):
                summary.notes.append(f"{job.input} was done in one piece; --resume cannot help it.")
            return summary
    from seg_stream.pipeline.long import run_plan

    return run_plan(plan, resume=resume, keep_partial=keep_partial, stop=stop, progress=progress)


def run_whole(
    job: Job,
    source: Source,
    *,
    keep_partial: bool = True,
    stop: Event | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Do a job in one piece; see `convert`."""
    with ExitStack() as stack:
        effect = stack.enter_context(open_effect(job))
        options = SinkOptions(job.encoding, job.transparent, job.overwrite)
        sinks = [stack.enter_context(open_sink(source, job.output, options))]
        if job.matte_output:
            sinks.append(stack.enter_context(open_matte_sink(source, job.matte_output, options)))
        summary = stream(source, effect, sinks, stop=stop, progress=progress)
        if summary.stopped and not keep_partial:
            raise Stopped(f"{job.input} was stopped; nothing was written.")
        for sink in sinks:
            sink.cut_short = summary.stopped
    for sink in sinks:
        summary.notes += sink.notes
    return summary
