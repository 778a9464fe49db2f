"""The `seg-stream` command: parse, wire, report."""

from __future__ import annotations

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
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from seg_stream.engines.models import DEFAULT
from seg_stream.pipeline.conversion import Summary, convert, open_sink, stream
from seg_stream.pipeline.effect import VirtualBackground
from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.pipeline.runner import RunReport
from seg_stream.pipeline.sinks.contract import Sink
from seg_stream.pipeline.sinks.window import WindowSink
from seg_stream.pipeline.sources.camera import CameraSource

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True, highlight=False)


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
        Path | None,
        typer.Option(
            help="Video, picture, or folder of pictures to convert.",
            show_default=False,
            readable=False,  # not its check: ours has more to say
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="What to write: .mp4 .mkv .mov .webm, a picture, or a folder.", readable=False
        ),
    ] = None,
    bg: Annotated[
        str, typer.Option(help="Background: blur, '#rrggbb', a picture, or a video (looped).")
    ] = "blur",
    model: Annotated[str, typer.Option(help="A shipped model's name or an .onnx file.")] = DEFAULT,
    engine: Annotated[str, typer.Option(help="auto or onnxruntime.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    version: Annotated[  # noqa: ARG001  # its callback does the work
        bool, typer.Option("--version", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Put a virtual background behind the person in a camera's picture, a video or a photo."""
    if (camera is None) == (input is None):
        raise UserError("Give either --camera NUMBER or --input FILE; see seg-stream --help.")
    with _stop_on_signal() as (stop, signals):
        if camera is not None:
            summary = _run_camera(camera, output, bg, model, engine, overwrite, stop)
        elif input is None or output is None:
            raise UserError("Say where the result goes: add --output FILE.")
        else:
            with _progress() as show:
                summary = convert(
                    input, output, background=bg, model=model, engine=engine,
                    overwrite=overwrite, stop=stop, progress=show,
                )  # fmt: skip
    _report(summary, output)
    if camera is not None and not summary.stopped:
        raise typer.Exit(1)  # the camera went away; the note has said so
    if signals and summary.stopped and camera is None:
        done = summary.run.items
        _say(f"Stopped early: the output holds {done} frames." if done else "Stopped early.")
        raise typer.Exit(128 + signals[0])


def _run_camera(
    number: int, output: Path | None, bg: str, model: str, engine: str, overwrite: bool, stop: Event
) -> Summary:
    with ExitStack() as stack:
        effect = stack.enter_context(VirtualBackground(bg, model=model, engine=engine))
        source = stack.enter_context(CameraSource(number))
        sinks: list[Sink] = [stack.enter_context(WindowSink(stop))]
        if output:
            sinks.append(stack.enter_context(open_sink(source, output, overwrite)))
        for note in source.notes:
            _say(f"Note: {note}")
        _say(f"{source.name}: {source.width}x{source.height}, {effect.engine.name}")
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


class _Bar:
    """A progress bar that takes the runner's reports."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None, fps=0.0)

    def __call__(self, report: RunReport, frames: int | None) -> None:
        total = None if frames is None else max(frames, report.items)
        self._bar.update(self._task, completed=report.items, total=total, fps=report.fps)


@contextmanager
def _progress() -> Iterator[_Bar]:
    with Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[fps]:.1f} fps"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        yield _Bar(bar)


def _report(summary: Summary, output: Path | None) -> None:
    for note in summary.notes:
        _say(f"Note: {note}")
    run = summary.run
    stages = ", ".join(f"{name} {run.mean_ms(name):.1f}" for name in run.busy_s)
    dropped = f", {run.dropped} dropped" if run.dropped else ""
    where = f" -> {output}" if output else ""
    _say(
        f"{run.items} frames{dropped}, {run.fps:.1f} fps, ms a frame: {stages}; "
        f"{summary.engine}{where}"
    )


def _say(text: str) -> None:
    """Print a line as it is: names of files may hold what looks like markup."""
    console.print(text, soft_wrap=True, markup=False, emoji=False)


def _complain(message: str, code: int) -> None:
    console.print(f"[red]Error:[/red] {escape(message)}", soft_wrap=True, emoji=False)
    sys.exit(code)


if __name__ == "__main__":
    main()
