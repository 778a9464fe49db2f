"""The `seg-stream` command: parse, wire, report."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Annotated, Any

import typer

from seg_stream.engines.models import DEFAULT
from seg_stream.engines.select import EngineChoice
from seg_stream.pipeline.backgrounds import BLUR
from seg_stream.pipeline.batch import Outcome, is_batch, plan, run_batch
from seg_stream.pipeline.console import (
    as_json,
    bars,
    complain,
    report,
    report_batch,
    say,
    watched,
)
from seg_stream.pipeline.conversion import run_job
from seg_stream.pipeline.describe import describe
from seg_stream.pipeline.errors import SegStreamError, Stopped, UserError, exit_code, unusable
from seg_stream.pipeline.job import SEGMENT_S, Job
from seg_stream.pipeline.look import Look
from seg_stream.pipeline.matte import MatteSettings
from seg_stream.pipeline.outputs import SinkOptions
from seg_stream.pipeline.sinks.encoding import Encoding, choose_encoder, parse_bitrate
from seg_stream.pipeline.sinks.images import is_numbered
from seg_stream.pipeline.sources.trim import parse_trim
from seg_stream.pipeline.stream import Progress, Summary

# What a plain file does not need (camera, cluster) is imported where it is used: loading it takes
# longer than a good many frames.

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command; exit code 2 for the user's mistake, 1 for ours."""
    os.environ.setdefault("SVT_LOG", "0")  # the AV1 encoder tells its life's story
    try:
        app()
    except UserError as error:
        _complain(str(error), 2)
    except SegStreamError as error:
        _complain(str(error), 1)
    except OSError as error:  # a name that the system does not take
        _complain(f"{unusable(error)}.", exit_code(error))


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"seg-stream {version('seg-stream')}")
        raise typer.Exit


def _show_cameras(wanted: bool) -> None:
    if wanted:
        from seg_stream.pipeline.sources.camera import list_cameras

        for line in list_cameras():
            print(line)
        raise typer.Exit


@app.command()
def seg_stream(
    camera: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|NAME|URL|screen",
            help="A camera, an RTSP or HTTP URL, or screen:WIDTHxHEIGHT+X+Y; shows a preview.",
            show_default=False,
        ),
    ] = None,
    input: Annotated[
        list[Path] | None,
        typer.Option(
            help="Video, picture or folder to convert; give it again for more.",
            show_default=False,
            readable=False,  # not its check: ours has more to say
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="What to write: .mp4 .mkv .mov .webm .webp, a picture, or a folder.",
            readable=False,
        ),
    ] = None,
    bg: Annotated[
        str | None,
        typer.Option(
            help="blur, '#rrggbb', transparent, a picture, or a video (looped).",
            show_default=BLUR,
        ),
    ] = None,
    virtual_camera: Annotated[
        str | None,
        typer.Option(
            metavar="auto|DEVICE", help="Also be a camera for other programs.", show_default=False
        ),
    ] = None,
    serve: Annotated[
        str | None,
        typer.Option(
            metavar="PORT|HOST:PORT", help="Also show a page with the picture and its settings."
        ),
    ] = None,
    preview: Annotated[
        bool, typer.Option("--preview/--no-preview", help="Show a window with a camera's picture.")
    ] = True,
    duration: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Stop the camera after this.")
    ] = None,
    fps_target: Annotated[
        float | None,
        typer.Option(
            help="Do less for each frame when fewer a second come out.",
            show_default="the camera's rate",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Settings (TOML) of a live picture, read again when they change."),
    ] = None,
    backgrounds: Annotated[
        Path | None, typer.Option(help="Folder of backgrounds to switch between while it runs.")
    ] = None,
    snapshots: Annotated[
        Path | None, typer.Option(help="Folder for snapshots.", show_default="here")
    ] = None,
    model: Annotated[str, typer.Option(help="A shipped model's name or an .onnx file.")] = DEFAULT,
    engine: Annotated[
        str, typer.Option(help="auto, tensorrt, tensorrt-rtx, cuda or onnxruntime.")
    ] = "auto",
    require_gpu: Annotated[
        bool, typer.Option("--require-gpu", help="Fail rather than run the network on the CPU.")
    ] = False,
    gpu: Annotated[int, typer.Option(help="Number of the GPU.", min=0)] = 0,
    every: Annotated[
        int,
        typer.Option(help="Run the network on every Nth frame, move the mask along in between."),
    ] = 1,
    hold: Annotated[
        float,
        typer.Option(
            help="Keep a mask, a quarter of a second at most, while no small part of the picture "
            "changes by so many grey levels; 0 runs the network on every frame. Not on a GPU, nor "
            "with --every.",
            min=0,
            max=255,
        ),
    ] = MatteSettings.hold,
    light_wrap: Annotated[
        float | None, typer.Option(help="0 to 1: background light on the edge.", show_default="0")
    ] = None,
    match_colour: Annotated[
        float | None,
        typer.Option(help="0 to 1: the background's light and colour.", show_default="0"),
    ] = None,
    blur_strength: Annotated[
        float | None, typer.Option(help="0 to 1: how far out of focus.", show_default="0.5")
    ] = None,
    blur_falloff: Annotated[
        bool, typer.Option("--blur-falloff", help="Blur less what is near the person.")
    ] = False,
    matte: Annotated[
        Path | None, typer.Option(help="Also write the alpha as grey video.", readable=False)
    ] = None,
    trim: Annotated[
        str | None, typer.Option(metavar="START-END", help="Only this part, say 0:10-1:20.")
    ] = None,
    codec: Annotated[
        str | None,
        typer.Option(help="h264, h265, vp9, av1, prores or ffv1.", show_default="the file's kind"),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(help="Constant rate factor, lower is better.", show_default="the codec's"),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="ultrafast to veryslow.", show_default="veryfast")
    ] = None,
    bitrate: Annotated[
        str | None, typer.Option(help="5M or 800k, instead of a quality.", show_default=False)
    ] = None,
    gpu_video: Annotated[
        bool, typer.Option("--gpu-video", help="Decode and encode with NVDEC and NVENC.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with a long conversion that was stopped; Ctrl-C keeps it."
        ),
    ] = False,
    segment: Annotated[
        int,
        typer.Option(help="Seconds of the pieces in which a long video is done; 0 for one."),
    ] = SEGMENT_S,
    ray: Annotated[
        str | None,
        typer.Option(metavar="auto|ray://HOST:PORT", help="Spread the work over this Ray cluster."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    json_wanted: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, for scripts.")
    ] = False,
    cameras: Annotated[  # noqa: ARG001
        bool,
        typer.Option(
            "--list-cameras",
            callback=_show_cameras,
            is_eager=True,
            help="Show the cameras and what they offer.",
        ),
    ] = False,
    version: Annotated[  # noqa: ARG001  # its callback does the work
        bool, typer.Option("--version", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Put a virtual background behind the person in a camera's picture, a video or a photo."""
    if (camera is None) == (not input):
        raise UserError("Give either --camera NUMBER or --input FILE; see seg-stream --help.")
    encoding = Encoding(
        codec,
        quality,
        preset,
        None if bitrate is None else parse_bitrate(bitrate),
        gpu=gpu_video,
    )
    chosen = EngineChoice(engine, gpu, require_gpu)
    choices = {
        "light_wrap": light_wrap,
        "match_colour": match_colour,
        "blur_strength": blur_strength,
        "blur_falloff": blur_falloff or None,
    }
    look: dict[str, Any] = {name: each for name, each in choices.items() if each is not None}
    with _stop_on_signal() as (stop, signals):
        if camera is not None:
            files_only = (
                ("--matte", matte), ("--trim", trim), ("--dry-run", dry_run),
                ("--every", every != 1), ("--hold", hold != MatteSettings.hold),
                ("--resume", resume), ("--ray", ray),
            )  # fmt: skip
            for name, given in files_only:
                if given:
                    raise UserError(f"{name} is for files, not for a camera; leave it out.")
            from seg_stream.pipeline.live.start import LiveOptions, run_live
            from seg_stream.pipeline.sources.camera import open_live

            settings = {**look, **({} if bg is None else {"background": bg})}
            options = LiveOptions(
                model, chosen, settings, config, backgrounds, snapshots,
                preview=preview, virtual_camera=virtual_camera, output=output,
                sinks=SinkOptions(encoding, False, overwrite), serve=serve,
                duration_s=duration, fps_target=fps_target,
            )  # fmt: skip
            status = run_live(partial(open_live, camera), options, say, stop)
            for line in status.sentences():
                say(line)
            if json_wanted:
                print(json.dumps(status.as_json(), indent=2))
            return
        live_only = (
            ("--virtual-camera", virtual_camera), ("--no-preview", not preview),
            ("--serve", serve), ("--config", config), ("--backgrounds", backgrounds),
            ("--snapshots", snapshots), ("--duration", duration), ("--fps-target", fps_target),
        )  # fmt: skip
        for name, value in live_only:
            if value:
                raise UserError(f"{name} is for a camera, not for files; leave it out.")
        if not input or output is None:
            raise UserError("Say where the result goes: add --output FILE.")
        several = is_batch(input)
        if several and matte:
            raise UserError("--matte names one file, but there are several inputs; leave it out.")
        wanted = Job(
            input[0], output, BLUR if bg is None else bg, model, chosen, MatteSettings(hold=hold),
            look=Look(**look), every=every, encoding=encoding, matte_output=matte,
            trim=None if trim is None else parse_trim(trim),
            overwrite=overwrite, segment_s=segment,
        )  # fmt: skip
        run = _Run(resume, ray, json_wanted, stop, signals)
        if not several:
            if dry_run:
                _show_plan([wanted], json_wanted)
            else:
                _convert_one(wanted, run)
            return
        jobs = plan(input, wanted)
        if dry_run:
            _show_plan(jobs, json_wanted)
        else:
            _make_folder(output)
            _convert_all(jobs, run)


@dataclass(frozen=True)
class _Run:
    """How jobs are done, whatever they are; `signals` are those that came in."""

    resume: bool
    ray: str | None
    json_wanted: bool
    stop: Event
    signals: list[int]


@contextmanager
def _converter(
    run: _Run, *, keep_partial: bool = True
) -> Iterator[tuple[Callable[[Job, Progress | None], Summary], int]]:
    """What converts a job, here or on a cluster, and how many it takes at once."""
    if run.ray is None:
        here = partial(run_job, resume=run.resume, keep_partial=keep_partial, stop=run.stop)
        yield lambda job, progress: here(job, progress=progress), 1
        return
    from seg_stream.pipeline.cluster import Cluster

    with Cluster(run.ray) as cluster:
        there = partial(cluster.run, resume=run.resume, stop=run.stop)
        yield lambda job, progress: there(job, progress=progress), cluster.workers


def _convert_one(job: Job, run: _Run) -> None:
    if job.input.exists() and watched():
        say(str(describe(job.input, job.trim)))
    try:
        with _converter(run) as (convert, _), bars() as show, show.of(job) as progress:
            summary = convert(job, progress)
    except Stopped as stopped:
        say(str(stopped))
        raise typer.Exit(128 + run.signals[0]) from None
    report(summary, job.output)
    if run.json_wanted:
        print(json.dumps(as_json(summary, job.output), indent=2))
    if run.signals and summary.stopped:
        done = summary.frames
        say(f"Stopped early: the output holds {done} frames." if done else "Stopped early.")
        raise typer.Exit(128 + run.signals[0])


def _convert_all(jobs: list[Job], run: _Run) -> None:
    with _converter(run, keep_partial=False) as (convert, at_once), bars(len(jobs)) as show:

        def one(job: Job) -> Summary:
            with show.of(job) as progress:
                return convert(job, progress)

        def end(outcome: Outcome) -> None:
            show.count()
            if outcome.summary:
                report(outcome.summary, outcome.job.output)

        result = run_batch(jobs, one, at_once=at_once, stop=run.stop, end=end)
    report_batch(result)
    if run.json_wanted:
        print(json.dumps([_outcome_json(outcome) for outcome in result.outcomes], indent=2))
    if run.signals and result.of("stopped"):
        raise typer.Exit(128 + run.signals[0])
    if failed := result.of("failed"):
        raise typer.Exit(1 if any(outcome.our_fault for outcome in failed) else 2)


def _outcome_json(outcome: Outcome) -> dict[str, object]:
    figures = as_json(outcome.summary, outcome.job.output) if outcome.summary else {}
    return {
        "input": str(outcome.job.input),
        "output": str(outcome.job.output),
        "state": outcome.state,
        "why": outcome.why,
        **figures,
    }


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be made ({error.strerror}).") from None


def _show_plan(jobs: list[Job], json_wanted: bool) -> None:
    """Say for each file what it is and what would be made of it."""
    entries = []
    for job in jobs:
        description = describe(job.input, job.trim)
        encoder = None
        if description.kind == "video" and not is_numbered(job.output):
            chosen = choose_encoder(job.output, job.encoding, transparent=job.transparent)
            settings = " ".join(f"{key} {value}" for key, value in chosen.options.items())
            encoder = f"{chosen.name} {settings}".strip()
        there = " (exists already)" if job.output.exists() else ""
        say(f"{description}\n  -> {job.output}{f', {encoder}' if encoder else ''}{there}")
        entries.append(
            {
                "input": description.as_json(),
                "output": str(job.output),
                "encoder": encoder,
                "exists": bool(there),
            }
        )
    if json_wanted:
        print(json.dumps(entries, indent=2))


@contextmanager
def _stop_on_signal() -> Iterator[tuple[Event, list[int]]]:
    """Ctrl-C and SIGTERM set the event, so that the output is finished; a second one aborts."""
    stop, received = Event(), list[int]()

    def handle(number: int, _: FrameType | None) -> None:
        if received:
            say("Aborted; what was not whole is thrown away.")
            raise KeyboardInterrupt
        received.append(number)
        stop.set()
        say("Stopping ... once more aborts at once.")

    numbers = [signal.SIGINT, signal.SIGTERM]
    if hangup := getattr(signal, "SIGHUP", None):  # not on Windows
        numbers.append(hangup)
    old = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield stop, received
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _complain(message: str, code: int) -> None:
    complain(message)
    sys.exit(code)


if __name__ == "__main__":
    main()
