"""The `seg-bench` command."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from seg_stream.benchmarks.bench import FULL, QUICK, USUAL, Wanted, run_bench
from seg_stream.benchmarks.compare import compare
from seg_stream.benchmarks.history import keep
from seg_stream.benchmarks.report import read_report, write_report
from seg_stream.benchmarks.schema import Report
from seg_stream.benchmarks.tables import tables
from seg_stream.engines.models import DEFAULT
from seg_stream.pipeline.errors import SegStreamError, UserError

REPORTS, README = Path("benchmarks/reports"), Path("README.md")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True, highlight=False)


def main() -> None:
    """Run the command; exit code 2 for the user's mistake, 1 for ours and for a regression."""
    try:
        app()
    except SegStreamError as error:
        console.print(f"[red]Error:[/red] {escape(str(error))}", soft_wrap=True, emoji=False)
        sys.exit(2 if isinstance(error, UserError) else 1)


@app.callback(invoke_without_command=True)
def seg_bench(
    context: typer.Context,
    output: Annotated[
        Path | None, typer.Option(help="Folder for report.html, .json and .md.", show_default=False)
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer repeats, one clip.")] = False,
    full: Annotated[bool, typer.Option("--full", help="More repeats, and scaling.")] = False,
    clip: Annotated[
        list[Path] | None,
        typer.Option(help="Video to convert; again for more.", show_default="rendered ones"),
    ] = None,
    model: Annotated[str, typer.Option(help="A shipped model's name or a file.")] = DEFAULT,
    peers: Annotated[
        Path | None, typer.Option(help="Folder with other projects' models.", show_default=False)
    ] = None,
    mediapipe: Annotated[
        Path | None,
        typer.Option(help="A .tflite for MediaPipe, if it is installed.", show_default=False),
    ] = None,
    rembg: Annotated[
        str | None,
        typer.Option(help="Name or file of a model for rembg, if installed.", show_default=False),
    ] = None,
) -> None:
    """Measure seg-stream on this machine, beside other ways of doing the same."""
    if context.invoked_subcommand:
        return
    if output is None:
        raise UserError("Say where the report goes: add --output FOLDER.")
    if quick and full:
        raise UserError("--quick and --full contradict each other; give one.")
    for path in (*(clip or []), *filter(None, (peers, mediapipe))):
        if not path.exists():
            raise UserError(f"{path} does not exist; check its name.")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {output} cannot be made ({error.strerror}).") from None
    depth = QUICK if quick else FULL if full else USUAL
    wanted = Wanted(depth, clip or [], model, peers, mediapipe, rembg)
    report = run_bench(wanted, lambda text: console.print(text, markup=False))
    paths = write_report(report, output)
    for table in list(tables(report))[:3]:
        console.print(table.markdown(), markup=False)
    console.print(f"{report.took_s:.0f} s -> {', '.join(map(str, paths))}", markup=False)


@app.command("compare")
def compare_reports(
    before: Annotated[Path, typer.Argument(metavar="BEFORE.json")],
    after: Annotated[Path, typer.Argument(metavar="AFTER.json")],
) -> None:
    """Say what got faster or slower beyond noise; exit code 1 if something got slower."""
    result = compare(read_report(before), read_report(after))
    for note in result.notes:
        console.print(f"Note: {note}", soft_wrap=True, markup=False)
    for change in result.changes:
        print(change.words)
    print(f"{len(result.changes)} figures changed, {result.same} are the same within noise.")
    if result.regressions:
        raise typer.Exit(1)


@app.command("keep")
def keep_report(
    report: Annotated[Path, typer.Argument(metavar="REPORT.json")],
    folder: Annotated[Path, typer.Option(help="Where reports are kept.")] = REPORTS,
    readme: Annotated[Path, typer.Option(help="The README with figures.")] = README,
) -> None:
    """Keep a report of this release and machine, and make the README's figures of it."""
    print(keep(report, folder, readme))


@app.command("schema")
def print_schema() -> None:
    """Print the JSON schema of report.json."""
    print(json.dumps(Report.model_json_schema(), indent=1))


if __name__ == "__main__":
    main()
