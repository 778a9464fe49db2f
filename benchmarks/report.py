"""Write a report: report.json, report.md and report.html, one file that needs no network."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path
from string import Template

from pydantic import ValidationError

from seg_stream.benchmarks.files import OURS
from seg_stream.benchmarks.plots import plots
from seg_stream.benchmarks.ratios import ratios
from seg_stream.benchmarks.schema import Report
from seg_stream.benchmarks.tables import Table, tables
from seg_stream.pipeline.errors import UserError

TEMPLATE = Path(__file__).with_name("report.html")


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write all three into a folder; each appears under its name when it is whole.

    Raises:
        UserError: matplotlib is missing.
    """
    texts = {
        "report.json": report.model_dump_json(indent=1) + "\n",
        "report.md": as_markdown(report),
        "report.html": as_html(report),
    }
    paths = []
    for name, text in texts.items():
        part = folder / f"{name}.part"
        part.write_text(text, "utf-8")
        paths.append(part.replace(folder / name))
    return paths


def read_report(path: Path) -> Report:
    """Read a report.json.

    Raises:
        UserError: it is none.
    """
    try:
        return Report.model_validate_json(path.read_text("utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "text"
        raise UserError(
            f"{path} is not a report of this version of seg-bench ({where}: {first['msg']}); "
            "run seg-bench again."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The report {path} cannot be read ({error}).") from None


def as_markdown(report: Report) -> str:
    """The whole report as Markdown."""
    lines = [f"# seg-stream {report.seg_stream}", "", _machine(report), "", _details(report), ""]
    lines += [table.markdown() for table in tables(report)]
    if report.notes:
        lines += ["## Notes", "", *(f"- {note}" for note in report.notes), ""]
    return "\n".join(lines)


def as_html(report: Report) -> str:
    """The whole report as one HTML file.

    Raises:
        UserError: matplotlib is missing.
    """
    try:
        drawn = [f"<h2>{escape(title)}</h2>\n{svg}" for title, svg in plots(report)]
    except ModuleNotFoundError as error:
        raise UserError(f"The plots need {error.name}; pip install 'seg-stream[bench]'.") from None
    return Template(TEMPLATE.read_text("utf-8")).substitute(
        version=escape(report.seg_stream),
        machine=escape(_machine(report)),
        details=escape(_details(report)),
        tiles="".join(_tiles(report)),
        plots="\n".join(drawn),
        tables="\n".join(_html_table(table) for table in tables(report)),
        notes=_html_notes(report.notes),
    )


def _machine(report: Report) -> str:
    m = report.machine
    gpu = f", {m.gpu}" if m.gpu else ""
    return f"{m.processor}, {m.cores} cores, {m.memory_gib:.0f} GiB, {m.system}{gpu}"


def _details(report: Report) -> str:
    noise = report.noise
    versions = ", ".join(f"{name} {number}" for name, number in report.machine.versions.items())
    clips = ", ".join(f"{c.name} ({c.width}x{c.height}, {c.frames} frames)" for c in report.clips)
    return (
        f"{report.date}, seg-bench --{report.depth}, {report.took_s:.0f} s. {versions}. "
        f"Clips: {clips}. Noise: two measurements of the same work differed by up to "
        f"{100 * noise.pairs:.1f}%, and over the run it drifted by {100 * noise.drift:.1f}% to "
        "each side; ± is half of the range of the repeats."
    )


def _tiles(report: Report) -> Iterable[str]:
    for conversion in report.conversions:
        if conversion.way == OURS:
            yield _tile(f"{conversion.fps.median:.1f} fps", f"{conversion.clip}, a whole file")
    for ratio in ratios(report):
        if ratio.way.startswith("plain loop"):
            yield _tile(ratio.words.partition(" (")[0], f"{ratio.way}, {ratio.clip}")
    for session in report.sessions:
        if session.kind.startswith("live"):
            words = f"latency p95, {session.kind}, {session.clip}"
            yield _tile(f"{session.latency.p95:.0f} ms", words)


def _tile(figure: str, words: str) -> str:
    return f"<div><b>{escape(figure)}</b>{escape(words)}</div>"


def _html_table(table: Table) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.head)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n"
        for row in table.rows
    )
    title = escape(table.title.replace("`", ""))
    return (
        f'<h2>{title}</h2>\n<p class="pale">{escape(table.words.replace("`", ""))}</p>\n'
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table>'
        "</div>"
    )


def _html_notes(notes: list[str]) -> str:
    if not notes:
        return ""
    return "<h2>Notes</h2><ul>" + "".join(f"<li>{escape(note)}</li>" for note in notes) + "</ul>"
