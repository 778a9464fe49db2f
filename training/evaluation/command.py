"""The `seg-eval` command."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seg_stream.engines.models import DEFAULT
from seg_stream.engines.onnxruntime_cpu import available_cores
from seg_stream.engines.select import open_engine
from seg_stream.pipeline.errors import SegStreamError, UserError, exit_code, unusable
from seg_stream.pipeline.sinks.part_file import PartFile, check_target, write_whole
from seg_stream.training.evaluation.report import (
    ALL,
    Report,
    measure_flicker,
    new_report,
    score_suite,
    time_engines,
)
from seg_stream.training.evaluation.suite import Case, photographed_suite, portrait_suite
from seg_stream.training.pairs import pair_folders

app = typer.Typer(add_completion=False)


class Split(StrEnum):
    """Which people are scored."""

    VAL = "val"
    TEST = "test"


class Suite(StrEnum):
    """Where they are: in rooms, in homes and offices alone, or where they were photographed.

    `gaps` are photographs of those whose arms leave the body, framed to show it.
    """

    PORTRAIT = "portrait"
    INDOORS = "indoors"
    PHOTOGRAPHED = "photographed"
    GAPS = "gaps"


@dataclass(frozen=True)
class _Task:
    """What to score, and on what."""

    models: list[str]
    data: Path | None
    split: str
    suite: Suite
    clips: list[Path]
    worst: Path | None


@app.command()
def seg_eval(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL...", help="Shipped models' names or .onnx files."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Holds folders of pairs and backgrounds/.")
    ] = None,
    split: Annotated[Split, typer.Option(help="Tune on val; test is for reporting.")] = Split.VAL,
    suite: Annotated[
        Suite,
        typer.Option(
            help="People in rooms, in homes and offices only, or where they were photographed: "
            "all, or those with gaps between arms and body."
        ),
    ] = Suite.PORTRAIT,
    video: Annotated[list[Path] | None, typer.Option(help="Measure flicker on this clip.")] = None,
    descriptions: Annotated[
        Path | None, typer.Option(help="Folder of NAME.toml for models of other projects.")
    ] = None,
    threads: Annotated[
        int, typer.Option(min=1, max=1024, help="Threads of each network.")
    ] = available_cores(),
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write all figures here.")
    ] = None,
    worst: Annotated[
        Path | None, typer.Option(help="Folder for a sheet of each model's worst frames.")
    ] = None,
) -> None:
    """Compare models: overlap, outline and alpha on portraits, flicker on videos, and latency."""
    try:
        if data is None and not video:
            raise UserError("There is nothing to score on; give --data, or --video, or both.")
        if worst:
            worst.mkdir(parents=True, exist_ok=True)
        if json_path:
            check_target(json_path, overwrite=True)
        reports = _measure(
            _Task(models or [DEFAULT], data, split.value, suite, video or [], worst),
            descriptions,
            threads,
        )
        _print(reports)
        if json_path:
            _write_json(reports, json_path, suite, split, threads)
    except SegStreamError as error:
        typer.echo(f"seg-eval: {error}", err=True)
        raise typer.Exit(2 if isinstance(error, UserError) else 1) from error
    except OSError as error:
        typer.echo(f"seg-eval: {unusable(error)}; check it.", err=True)
        raise typer.Exit(exit_code(error)) from error


def _measure(task: _Task, descriptions: Path | None, threads: int) -> list[Report]:
    console = Console(stderr=True)
    with ExitStack() as stack:
        engines = [
            stack.enter_context(
                open_engine("auto", model, threads=threads, descriptions=descriptions)
            )
            for model in task.models
        ]
        reports = [new_report(engine) for engine in engines]
        names = _told_apart([report.name for report in reports], task.models)
        for report, name in zip(reports, names, strict=True):
            report.name = name
        sheets = [_sheet(task.worst, i, report.name) for i, report in enumerate(reports, 1)]
        if task.data:
            with console.status("Composing the suite"):
                suite = _compose(task.suite, task.data, task.split)
            for engine, report, sheet in zip(engines, reports, sheets, strict=True):
                with console.status(f"Scoring {escape(report.name)}"):
                    score_suite(engine, suite, report, sheet)
            case = next(iter(suite.values()))[0]
            with console.status("Timing"):
                for report, median_ms in zip(reports, time_engines(engines, case), strict=True):
                    report.latency_ms = median_ms
        names = _told_apart([clip.name for clip in task.clips], [str(clip) for clip in task.clips])
        for clip, name in zip(task.clips, names, strict=True):
            with console.status(f"Measuring flicker on {escape(clip.name)}"):
                measure_flicker(engines, clip, reports, name)
    return reports


def _told_apart(names: list[str], given: list[str]) -> list[str]:
    """The names; of those that are there several times, what the user gave instead."""
    return [
        path if names.count(name) > 1 else name for name, path in zip(names, given, strict=True)
    ]


def _sheet(folder: Path | None, number: int, name: str) -> Path | None:
    """A file for a model's worst frames, another one for each."""
    if folder is None:
        return None
    plain = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip("._")
    sheet = folder / f"{number}-{plain[-80:]}.png"
    PartFile(sheet, overwrite=True).discard()  # known now, not once all is scored
    return sheet


def _compose(suite: Suite, data: Path, split: str) -> dict[str, list[Case]]:
    folders = pair_folders(data)
    if ALL in folders and len(folders) > 1:
        raise UserError(
            f"{folders[ALL]} is called as all folders of pairs together are; give it another name."
        )
    if suite in (Suite.PHOTOGRAPHED, Suite.GAPS):
        return photographed_suite(data, split, gaps=suite == Suite.GAPS)
    return portrait_suite(data, split, indoors=suite == Suite.INDOORS)


def _print(reports: list[Report]) -> None:
    parts = list(reports[0].suite)
    clips = list(reports[0].flicker)
    gaps = [part for part in parts if reports[0].suite[part].gap_filled is not None]
    table = Table(
        caption="F: outline within 2 px at 256 rows; MAD: mean error of alpha"
        + ("; gaps: how much of the room between arms and body is filled, best 0" if gaps else "")
    )
    for title in ("Model", "Input"):
        table.add_column(title)
    for part in parts:
        for title in ("IoU", "F", "MAD", *(["gaps"] if part in gaps else [])):
            table.add_column(f"{escape(part)}\n{title}", justify="right")
    if parts:
        table.add_column("ms", justify="right")
    for clip in clips:
        table.add_column(f"flicker\n{escape(clip)}", justify="right")
    for report in reports:
        cells = [escape(report.name), report.input]
        for part in parts:
            scores = report.suite[part]
            cells += [
                f"{scores.iou:.3f}", f"{scores.boundary_f:.3f}", f"{scores.alpha_error:.4f}"
            ]  # fmt: skip
            if scores.gap_filled is not None:
                cells.append(f"{scores.gap_filled:.2f}")
        if parts:
            cells.append(f"{report.latency_ms:.2f}")
        cells += [f"{report.flicker[clip]:.4f}" for clip in clips]
        table.add_row(*cells)
    Console(width=max(120, 60 + 33 * len(parts) + 14 * len(clips))).print(table)


def _write_json(
    reports: list[Report], path: Path, suite: Suite, split: Split, threads: int
) -> None:
    text = {
        "suite": suite.value,
        "split": split.value,
        "threads": threads,
        "models": [report.as_json() for report in reports],
    }
    write_whole(path, (json.dumps(text, indent=2) + "\n").encode())


def main() -> None:
    """Run `seg-eval` as a process of its own."""
    app()


if __name__ == "__main__":
    main()
