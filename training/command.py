"""The `seg-train` command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from seg_stream.export.command import parse_size
from seg_stream.pipeline.errors import SegStreamError, UserError, exit_code, unusable
from seg_stream.training.networks import ARCHITECTURES, WITH_BODY
from seg_stream.training.run import train
from seg_stream.training.settings import TrainSettings, checked_settings, named_number

app = typer.Typer(add_completion=False)
DEFAULT = TrainSettings(data=Path())


@app.command()
def seg_train(
    data: Annotated[
        Path,
        typer.Option(
            help="Folder of pairs (images/ and masks/ or alpha/), or of several such folders."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The run's folder; a run in it is resumed.")],
    backgrounds: Annotated[
        Path | None,
        typer.Option(help="Folder of rooms.", show_default="backgrounds/ in the data folder"),
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(metavar="FOLDER=NUMBER", help="How often a folder of pairs is drawn."),
    ] = None,
    suspects: Annotated[bool, typer.Option(help="Also use pairs marked suspect.")] = False,
    arch: Annotated[str, typer.Option(help=f"One of {', '.join(ARCHITECTURES)}.")] = DEFAULT.arch,
    width: Annotated[
        int | None,
        typer.Option(help="Channels of the first level.", show_default="the architecture's"),
    ] = None,
    size: Annotated[
        str, typer.Option(metavar="WIDTHxHEIGHT", help="What the network sees.")
    ] = "256x160",
    imagenet: Annotated[
        Path | None, typer.Option(help=f"Published weights (.pth) for the body of {WITH_BODY}.")
    ] = None,
    start_from: Annotated[
        Path | None, typer.Option(help="Go on from the weights of this .keras file.")
    ] = None,
    share: Annotated[
        float, typer.Option(help="How far to go from there to the trained weights, up to 1.")
    ] = DEFAULT.share,
    all_layers: Annotated[
        bool, typer.Option("--all-layers", help="Also train the body's generic layers.")
    ] = False,
    epochs: Annotated[int, typer.Option()] = DEFAULT.epochs,
    samples: Annotated[int, typer.Option(help="Composites in an epoch.")] = DEFAULT.samples,
    validation: Annotated[
        int, typer.Option(help="Composites to score an epoch on.")
    ] = DEFAULT.validation,
    batch: Annotated[int, typer.Option()] = DEFAULT.batch,
    rate: Annotated[float, typer.Option(help="The highest learning rate.")] = DEFAULT.rate,
    patience: Annotated[
        int, typer.Option(help="Stop after this many epochs without a better validation loss.")
    ] = DEFAULT.patience,
    precision: Annotated[
        str, typer.Option(help="float32, or float16 or bfloat16 on a GPU.")
    ] = DEFAULT.precision,
    seed: Annotated[int, typer.Option()] = DEFAULT.seed,
    workers: Annotated[int, typer.Option(help="Threads that compose.")] = DEFAULT.workers,
    processes: Annotated[
        int, typer.Option(help="Processes that compose instead, as a GPU needs (Linux).")
    ] = DEFAULT.processes,
) -> None:
    """Train a network to find people; an interrupted run is resumed by the same command."""
    try:
        wide, high = reversed(parse_size(size))
        settings = checked_settings(
            data=data,
            backgrounds=backgrounds,
            weights=dict(_weight(text) for text in weight or ()),
            suspects=suspects,
            arch=arch,
            width=width,
            size=(wide, high),
            imagenet=imagenet,
            start_from=start_from,
            share=share,
            all_layers=all_layers,
            epochs=epochs,
            samples=samples,
            validation=validation,
            batch=batch,
            rate=rate,
            patience=patience,
            precision=precision,
            seed=seed,
            workers=workers,
            processes=processes,
        )
        if settings.arch == "fcn32s":
            # oneDNN in TensorFlow 2.21 aborts on the gradient of its wide transposed convolution.
            os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
        final = train(settings, out, typer.echo)
    except SegStreamError as error:
        typer.echo(f"seg-train: {error}", err=True)
        raise typer.Exit(2 if isinstance(error, UserError) else 1) from error
    except OSError as error:
        typer.echo(f"seg-train: {unusable(error)}; check it.", err=True)
        raise typer.Exit(exit_code(error)) from error
    except KeyboardInterrupt:
        typer.echo(f"seg-train: interrupted; the same command resumes {out}.", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"Done: {final}; seg-export {final} -o MODEL.onnx makes it usable.")


def _weight(text: str) -> tuple[str, float]:
    return named_number(text, f"--weight {text} is not FOLDER=NUMBER; write it as ccp=0.5.")


def main() -> None:
    """Run `seg-train` as a process of its own."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    app()


if __name__ == "__main__":
    main()
