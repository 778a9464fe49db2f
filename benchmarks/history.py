"""Reports that are kept, one for each release and machine, and the README's figures made of one.

The README holds a block between two comments; the first one names the report it is made of.
"""

from __future__ import annotations

import re
from pathlib import Path

from seg_stream.benchmarks.files import OURS
from seg_stream.benchmarks.ratios import ratios
from seg_stream.benchmarks.report import read_report
from seg_stream.benchmarks.schema import Report
from seg_stream.benchmarks.tables import markdown_lines, number
from seg_stream.pipeline.errors import UserError

BLOCK = re.compile(r"<!-- figures of (?P<report>\S+) -->\n.*?<!-- end -->", re.DOTALL)


def keep(report: Path, folder: Path, readme: Path) -> Path:
    """Put a report among those that are kept, and its figures into the README.

    Raises:
        UserError: it is no report, or the README has no place for figures.
    """
    found = read_report(report)
    text = readme.read_text("utf-8")
    if not BLOCK.search(text):
        raise UserError(f"{readme} has no line '<!-- figures of REPORT -->' with '<!-- end -->'.")
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{found.seg_stream}-{found.machine.slug}.json"
    kept.write_text(found.model_dump_json(indent=1) + "\n", "utf-8")
    name = kept.absolute().relative_to(readme.absolute().parent).as_posix()
    readme.write_text(BLOCK.sub(lambda _: block(name, found), text), "utf-8")
    return kept


def block(name: str, report: Report) -> str:
    """The README's block of a report."""
    return f"<!-- figures of {name} -->\n{figures(report)}<!-- end -->"


def figures(report: Report) -> str:
    """What the README says: whole files beside the others, and live."""
    machine = report.machine
    gpu = f", {machine.gpu}" if machine.gpu else ""
    against = {(ratio.clip, ratio.way): ratio for ratio in ratios(report)}
    ours = [c for c in report.conversions if c.way == OURS]
    clips = [next(clip for clip in report.clips if clip.name == c.clip) for c in ours]
    head = ["", *(f"{clip.width}x{clip.height}, {clip.frames} frames" for clip in clips)]
    rows = [[f"`{OURS}`", *(f"{number(c.fps.median)} fps" for c in ours)]]
    for way in dict.fromkeys(c.way for c in report.conversions if c.way != OURS):
        found = [against.get((clip.name, way)) for clip in clips]
        words = [ratio.words.partition(" (")[0] if ratio else "-" for ratio in found]
        rows.append([f"beside {way}", *words])
    lines = [
        f"Measured by `seg-bench --{report.depth}` on {machine.cores} cores of {machine.processor}"
        f"{gpu}, {report.date}; whole processes on whole files, noise "
        f"{100 * report.noise.limit:.0f}%:",
        "",
        *markdown_lines(head, rows),
        "",
    ]
    for live in (session for session in report.sessions if session.kind.startswith("live")):
        clip = next(clip for clip in report.clips if clip.name == live.clip)
        lines.append(
            f"- {live.kind}, {clip.width}x{clip.height}: {number(live.fps.median)} fps shown, "
            f"latency {live.latency.p50:.0f} ms (p95 {live.latency.p95:.0f}, p99 "
            f"{live.latency.p99:.0f}), {number(live.cpu.median)} cores, {live.level}"
        )
    return "\n".join(lines) + "\n\n"
