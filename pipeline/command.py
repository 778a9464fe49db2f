"""The `seg-stream` command: parse, wire, report."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Annotated

import typer
from rich.markup import escape

from seg_stream.engines.models import DEFAULT
from seg_stream.pipeline.batch import Outcome, Task, is_batch, plan, run_batch
from seg_stream.pipeline.console import as_json, bars, console, report, report_batch, say
from seg_stream.pipeline.conversion import SinkOptions, Summary, convert, open_sink, stream
from seg_stream.pipeline.describe import describe
from seg_stream.pipeline.effect import VirtualBackground
from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.pipeline.sinks.contract import Sink
from seg_stream.pipeline.sinks.encoding import Encoding, choose_encoder, parse_bitrate
from seg_stream.pipeline.sinks.images import is_numbered
from seg_stream.pipeline.sinks.window import WindowSink
from seg_stream.pipeline.sources.camera import CameraSource
from seg_stream.pipeline.sources.trim import Trim, parse_trim

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command; exit code 2 for the user's mistake, 1 for ours."""
    try:
        app()
    except UserError as error:
        _complain(str(error), 2)
    except SegStreamError as error:
        _complain(str(error), 1)
    except OSError as error:  # a name that the system does not take
        _complain(f"{error.filename or 'A file'} cannot be used ({error.strerror}).", 2)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"seg-stream {version('seg-stream')}")
        raise typer.Exit


@app.command()
def seg_stream(
    camera: Annotated[
        int | None, typer.Option(help="Number of the camera; shows a preview.", show_default=False)
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
        str,
        typer.Option(help="blur, '#rrggbb', transparent, a picture, or a video (looped)."),
    ] = "blur",
    model: Annotated[str, typer.Option(help="A shipped model's name or an .onnx file.")] = DEFAULT,
    engine: Annotated[str, typer.Option(help="auto or onnxruntime.")] = "auto",
    every: Annotated[
        int,
        typer.Option(help="Run the network on every Nth frame, move the mask along in between."),
    ] = 1,
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    json_wanted: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, for scripts.")
    ] = False,
    version: Annotated[  # noqa: ARG001  # its callback does the work
        bool, typer.Option("--version", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Put a virtual background behind the person in a camera's picture, a video or a photo."""
    if (camera is None) == (not input):
        raise UserError("Give either --camera NUMBER or --input FILE; see seg-stream --help.")
    encoding = Encoding(codec, quality, preset, None if bitrate is None else parse_bitrate(bitrate))
    with _stop_on_signal() as (stop, signals):
        if camera is not None:
            files_only = (
                ("--matte", matte), ("--trim", trim), ("--dry-run", dry_run),
                ("--every", every != 1), ("--json", json_wanted),
            )  # fmt: skip
            for name, given in files_only:
                if given:
                    raise UserError(f"{name} is for files, not for a camera; leave it out.")
            summary = _run_camera(
                camera, output, SinkOptions(encoding, False, overwrite), bg, model, engine, stop
            )
            report(summary, output)
            if not summary.stopped:
                raise typer.Exit(1)  # the camera went away; the note has said so
            return
        if not input or output is None:
            raise UserError("Say where the result goes: add --output FILE.")
        part = None if trim is None else parse_trim(trim)
        several = is_batch(input)
        if several and matte:
            raise UserError("--matte names one file, but there are several inputs; leave it out.")
        suffix = ".mov" if bg == "transparent" else None
        tasks = plan(input, output, suffix) if several else [Task(input[0], output)]
        if dry_run:
            _show_plan(tasks, encoding, bg, part, json_wanted)
            return
        if several:
            _make_folder(output)

        def convert_one(task: Task) -> Summary:
            return convert(
                task.input, task.output, background=bg, model=model, engine=engine, every=every,
                encoding=encoding, matte_output=matte, trim=part, overwrite=overwrite, stop=stop,
                progress=show, keep_partial=not several,
            )  # fmt: skip

        with bars(len(tasks)) as show:
            if not several:
                if tasks[0].input.exists() and console.is_terminal:
                    say(str(describe(tasks[0].input, part)))
                show.begin(tasks[0])
                summary = convert_one(tasks[0])
            else:

                def end(outcome: Outcome) -> None:
                    show.end(outcome)
                    if outcome.summary:
                        report(outcome.summary, outcome.task.output)

                result = run_batch(
                    tasks, convert_one, overwrite=overwrite, stop=stop, begin=show.begin, end=end
                )
    if several:
        report_batch(result)
        if json_wanted:
            print(json.dumps([_outcome_json(outcome) for outcome in result.outcomes], indent=2))
        if signals and result.of("stopped"):
            raise typer.Exit(128 + signals[0])
        failed = result.of("failed")
        if failed:
            raise typer.Exit(1 if any(outcome.our_fault for outcome in failed) else 2)
        return
    report(summary, output)
    if json_wanted:
        print(json.dumps(as_json(summary, output), indent=2))
    if signals and summary.stopped:
        done = summary.run.items
        say(f"Stopped early: the output holds {done} frames." if done else "Stopped early.")
        raise typer.Exit(128 + signals[0])


def _outcome_json(outcome: Outcome) -> dict[str, object]:
    figures = as_json(outcome.summary, outcome.task.output) if outcome.summary else {}
    return {
        "input": str(outcome.task.input),
        "output": str(outcome.task.output),
        "state": outcome.state,
        "why": outcome.why,
        **figures,
    }


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be made ({error.strerror}).") from None


def _show_plan(
    tasks: list[Task], encoding: Encoding, bg: str, trim: Trim | None, json_wanted: bool
) -> None:
    """Say for each file what it is and what would be made of it."""
    entries = []
    for task in tasks:
        description = describe(task.input, trim)
        encoder = None
        if description.kind == "video" and not is_numbered(task.output):
            chosen = choose_encoder(task.output, encoding, transparent=bg == "transparent")
            settings = " ".join(f"{key} {value}" for key, value in chosen.options.items())
            encoder = f"{chosen.name} {settings}".strip()
        there = " (exists already)" if task.output.exists() else ""
        say(f"{description}\n  -> {task.output}{f', {encoder}' if encoder else ''}{there}")
        entries.append(
            {
                "input": description.as_json(),
                "output": str(task.output),
                "encoder": encoder,
                "exists": bool(there),
            }
        )
    if json_wanted:
        print(json.dumps(entries, indent=2))


def _run_camera(
    number: int,
    output: Path | None,
    options: SinkOptions,
    bg: str,
    model: str,
    engine: str,
    stop: Event,
) -> Summary:
    if bg == "transparent":
        raise UserError("A preview cannot be transparent; choose another --bg.")
    with ExitStack() as stack:
        effect = stack.enter_context(VirtualBackground(bg, model=model, engine=engine))
        source = stack.enter_context(CameraSource(number))
        sinks: list[Sink] = [stack.enter_context(WindowSink(stop))]
        if output:
            sinks.append(stack.enter_context(open_sink(source, output, options)))
        for note in source.notes:
            say(f"Note: {note}")
        say(f"{source.name}: {source.width}x{source.height}, {effect.engine.name}")
        return stream(source, effect, sinks, stop=stop)


@contextmanager
def _stop_on_signal() -> Iterator[tuple[Event, list[int]]]:
    """Ctrl-C and SIGTERM set the event, so that the output is finished; a second one aborts."""
    stop, received = Event(), list[int]()

    def handle(number: int, _: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)
        stop.set()

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
    console.print(f"[red]Error:[/red] {escape(message)}", soft_wrap=True, emoji=False)
    sys.exit(code)


if __name__ == "__main__":
    main()
