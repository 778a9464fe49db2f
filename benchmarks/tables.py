"""The tables of a report, the same for Markdown and HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seg_stream.benchmarks.files import OURS
from seg_stream.benchmarks.ratios import ratios
from seg_stream.benchmarks.schema import Conversion, Report, Sample, Session


@dataclass(frozen=True)
class Table:
    """A title, a sentence on how to read it, a head and rows."""

    title: str
    words: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def markdown(self) -> str:
        """The table as Markdown."""
        lines = markdown_lines(self.head, self.rows)
        return "\n".join([f"## {self.title}", "", self.words, "", *lines, ""])


def markdown_lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A head and rows as lines of Markdown."""
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def tables(report: Report) -> Iterator[Table]:
    """All that a report has something for."""
    makers = (_files, _against, _sessions, _networks, _stages, _ceilings, _scaling)
    return (table for make in makers if (table := make(report)).rows)


def number(value: float | None) -> str:
    """Three digits, or a dash."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def sample(figure: Sample | None) -> str:
    """A median and its spread."""
    return "-" if figure is None else f"{number(figure.median)} ± {100 * figure.spread:.0f}%"


def share(floor: float | None, found: float) -> str:
    """How much of what was found is the floor."""
    return "-" if floor is None else f"{100 * floor / found:.0f}%"


def _gpu_seen(report: Report) -> bool:
    """Whether a GPU was watched: without one the tables have no columns for it."""
    return any(c.gpu for c in report.conversions) or any(e.gpu for e in report.sessions)


def _on_gpu(each: Conversion | Session, seen: bool) -> tuple[str, ...]:
    return (sample(each.gpu), sample(each.gpu_memory)) if seen else ()


GPU_HEAD = ("GPU %", "GPU MiB")


def _files(report: Report) -> Table:
    seen = _gpu_seen(report)
    rows = [
        (c.clip, c.way, *map(sample, (c.fps, c.steady_fps, c.cpu_ms, c.memory)), *_on_gpu(c, seen))
        for c in report.conversions
    ]
    return Table(
        "Whole files",
        "Frames a second from the start of the process to its end, then without start and end; "
        "processor time a frame; the highest memory. All ways took turns on the same clip.",
        ("clip", "way", "fps", "fps inside", "CPU ms a frame", "MiB", *(GPU_HEAD if seen else ())),
        rows,
    )


def _against(report: Report) -> Table:
    return Table(
        f"`{OURS}` beside the others",
        "Ratios of runs next to each other: their median and range. Less than the machine's noise "
        f"({100 * report.noise.limit:.1f}%) is no difference.",
        ("clip", "against", OURS),
        [(ratio.clip, ratio.way, ratio.words) for ratio in ratios(report)],
    )


def _sessions(report: Report) -> Table:
    rows, seen = [], _gpu_seen(report)
    for e in report.sessions:
        late = e.latency
        rows.append(
            (
                f"{e.kind}, {e.clip}",
                sample(e.fps),
                number(late.p50),
                number(late.p95),
                number(late.p99),
                number(late.max),
                f"{e.dropped} of {e.frames + e.dropped}",
                sample(e.cpu),
                sample(e.memory),
                *_on_gpu(e, seen),
                sample(e.cold_start),
                sample(e.warm_start),
                e.level or "every frame",
            )
        )
    return Table(
        "The pipeline from inside",
        "Latency in ms from when a frame is captured (live: due) until it is written; in a file "
        "frames wait for each other. Start in s until the first frame is out: of a new process, "
        "and again in the same one. A live session that cannot keep up runs the network on fewer "
        "frames; the last column is what it did at its end.",
        (
            "what",
            "fps",
            "p50",
            "p95",
            "p99",
            "max",
            "dropped",
            "cores",
            "MiB",
            *(GPU_HEAD if seen else ()),
            "cold",
            "warm",
            "network",
        ),
        rows,
    )


def _networks(report: Report) -> Table:
    return Table(
        "Networks alone",
        "Latency in ms. Floor: the network's operations at the speed of a matrix product, or its "
        "bytes at that of a copy, whichever takes longer, on as many threads.",
        ("model", "size", "engine", "threads", "ms", "p95", "p99", "M multiply-adds", "floor"),
        [
            (
                n.model,
                n.size,
                n.engine,
                str(n.threads),
                sample(n.latency),
                number(n.calls.p95),
                number(n.calls.p99),
                number(n.multiply_adds / 1e6) if n.multiply_adds else "-",
                share(n.floor_ms, n.latency.median),
            )
            for n in report.networks
        ],
    )


def _stages(report: Report) -> Table:
    return Table(
        "Stages alone",
        "ms a frame with nothing else running, and the time of all cores together; indented: what "
        "`composite` consists of. Floor: the stage's bytes at the speed of a copy.",
        ("clip", "stage", "ms", "p95", "CPU ms", "floor"),
        [
            (
                s.clip,
                f"— {s.stage}" if s.part_of else s.stage,
                sample(s.time),
                number(s.frames.p95) if s.frames else "-",
                sample(s.cpu),
                share(s.floor_ms, s.time.median),
            )
            for s in report.stages
        ],
    )


def _ceilings(report: Report) -> Table:
    return Table(
        "What the machine can do",
        "A float32 matrix product and a copy of what a cache holds (read and written).",
        ("threads", "GFLOP/s", "GB/s"),
        [(str(c.threads), sample(c.matrix), sample(c.copy_rate)) for c in report.ceilings],
    )


def _scaling(report: Report) -> Table:
    return Table(
        "Scaling",
        "The exponent e of y = c x^e, fitted to the logarithms.",
        ("what", "x", "y", "from", "to", "exponent", "r²"),
        [
            (
                curve.what,
                curve.x_name,
                curve.y_name,
                f"{curve.points[0].label}: {sample(curve.points[0].y)}",
                f"{curve.points[-1].label}: {sample(curve.points[-1].y)}",
                number(curve.exponent),
                number(curve.r2),
            )
            for curve in report.scaling
        ],
    )
