"""The `seg-export` command."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from seg_stream.engines.engine_file import EngineReport, report_path
from seg_stream.engines.tensorrt_build import Progress as BuildProgress
from seg_stream.export.engine_export import export_engine
from seg_stream.export.onnx_export import ExportReport, Settings, export_onnx
from seg_stream.pipeline.errors import SegStreamError, UserError

app = typer.Typer(add_completion=False)


class Target(StrEnum):
    """What a model is turned into."""

    ONNX = "onnx"
    ENGINE = "engine"


class Builder(StrEnum):
    """What builds an engine."""

    TENSORRT = "tensorrt"
    TENSORRT_RTX = "tensorrt-rtx"


class InputRange(StrEnum):
    """What a model takes for white."""

    PIXELS = "255"
    UNIT = "1"


@app.command()
def seg_export(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="The trained Keras model; for an engine, an .onnx file too."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    to: Annotated[
        Target, typer.Option(help="An ONNX file in FP32, or a TensorRT engine in FP16.")
    ] = Target.ONNX,
    engine: Annotated[
        Builder | None,
        typer.Option(help="What builds the engine.", show_default="the first that can"),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="WIDTHxHEIGHT", help="Input size, if the model leaves it open."),
    ] = None,
    input_range: Annotated[
        InputRange | None,
        typer.Option(
            help="The model takes pixels 0..255, or 0..1.",
            show_default="255 if its first layer is a Rescaling, else 1",
        ),
    ] = None,
    person_class: Annotated[int, typer.Option(help="The person's channel in a softmax.")] = 1,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of photographs to compare on.", show_default="those of scikit-image"
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the model.", show_default="the file's")] = "",
    trained_on: Annotated[str, typer.Option(help="What it was trained on.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the weights.")] = "",
) -> None:
    """Turn a trained Keras model into an ONNX file and prove that both give the same mask."""
    try:
        settings = Settings(
            size=parse_size(size) if size else None,
            input_range=int(input_range.value) if input_range else None,
            person_class=person_class,
            images=images,
            name=name,
            trained_on=trained_on,
            licence=licence,
        )
        if to is Target.ENGINE:
            with _build_progress() as progress:
                made = export_engine(
                    model,
                    output,
                    engine=engine.value if engine else None,
                    settings=settings,
                    progress=progress,
                )
            if made.onnx:
                print_report(made.onnx, "in between")
            print_engine_report(made.report, output)
            return
        if engine:
            raise UserError("--engine is for --to engine; add that or leave --engine out.")
        report = export_onnx(model, output, settings)
    except SegStreamError as error:
        typer.echo(f"seg-export: {error}", err=True)
        raise typer.Exit(2 if isinstance(error, UserError) else 1) from error
    except KeyboardInterrupt:
        typer.echo("seg-export: Stopped; nothing was written.", err=True)
        raise typer.Exit(130) from None
    print_report(report, str(output))


def parse_size(text: str) -> tuple[int, int]:
    """Turn `WIDTHxHEIGHT`, or one number for a square, into (height, width).

    Raises:
        UserError: the text is something else.
    """
    match = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", text)
    if match is None:
        raise UserError(f"--size {text} is not a size; write it as 256x144 or, for a square, 256.")
    return int(match[2] or match[1]), int(match[1])


def print_report(report: ExportReport, where: str) -> None:
    """Show what was written, the figures of the gate and the graph's operators."""
    interface, parity = report.interface, report.parity
    table = Table("", "", show_header=False)
    table.add_row("ONNX", f"{escape(where)}, {report.onnx_bytes / 1e6:.2f} MB")
    table.add_row("Parameters", f"{report.parameters:,}")
    table.add_row("Input", f"{interface.width}x{interface.height}, RGB 0..255")
    table.add_row("The Keras model takes", f"RGB 0..{interface.input_range}")
    table.add_row("Largest difference", f"{parity.max_abs_error:.2e}")
    table.add_row("Mask IoU", f"{parity.iou:.5f} (worst of {parity.photographs} photographs)")
    table.add_row("Person", f"{parity.person_fraction:.0%} of the photographs' pixels")
    operators = [f"{kind}:{count}" for kind, count in report.operators.most_common()]
    table.add_row("Operators", ", ".join(operators))
    Console().print(table)


def print_engine_report(report: EngineReport, output: Path) -> None:
    """Show what was built by what, the figures of the gate, and what is not in FP16."""
    table = Table("", "", show_header=False)
    table.add_row("Engine", f"{escape(str(output))}, {report.engine_bytes / 1e6:.2f} MB")
    table.add_row("Built by", f"{report.engine} {report.engine_version} in {report.build_s:.1f} s")
    table.add_row("Mask IoU", f"{report.iou:.5f} (FP16 to FP32, {report.photographs} photographs)")
    table.add_row("Largest difference", f"{report.max_abs_error:.2e}")
    table.add_row("Layers in FP16", f"{report.fp16_layers}")
    for name, reason in report.fp32_layers.items():
        table.add_row("Kept in FP32", f"{escape(name)}: {reason}")
    table.add_row("Report", escape(str(report_path(output))))
    Console().print(table)


@contextmanager
def _build_progress() -> Iterator[BuildProgress]:
    """A line with the build's phase and a bar, if a person is watching."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("Converting", total=1.0)

        def show(phase: str, share: float) -> None:
            bar.update(task, description=phase, completed=share)

        yield show


def main() -> None:
    """Run `seg-export` as a process of its own."""
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the model was trained on
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # plain rounding, and no note about it
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    app()
