"""The plots of a report, as SVG that stands in the HTML itself."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from seg_stream.benchmarks.files import OURS, REENCODE
from seg_stream.benchmarks.schema import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 9.0
INK, ACCENT, PALE = "#1f2933", "#0b7a75", "#b8c4ce"


def plots(report: Report) -> Iterator[tuple[str, str]]:
    """Title and SVG of each plot that the report has figures for.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    import matplotlib

    matplotlib.use("svg")
    if report.conversions:
        yield "Whole files: frames a second", _svg(_files(report))
    if report.sessions:
        yield "Latency over time", _svg(_latency(report))
        yield "Latency: how many frames within", _svg(_distribution(report))
    if report.stages:
        yield "A frame's way through the stages, each alone", _svg(_waterfall(report))
    if report.scaling:
        yield "Scaling", _svg(_scaling(report))


def _figure(rows: float, columns: int = 1, count: int = 1, **more: Any) -> tuple[Figure, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, rows), layout="constrained")
    down = -(-count // columns)
    axes = figure.subplots(down, columns, squeeze=False, **more).ravel().tolist()
    for spare in axes[count:]:
        spare.axis("off")
    for axis in axes[:count]:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes[:count]


def _files(report: Report) -> Figure:
    clips = list(dict.fromkeys(c.clip for c in report.conversions))
    most = max(sum(c.clip == clip for c in report.conversions) for clip in clips)
    figure, axes = _figure(0.9 + 0.42 * most * len(clips), count=len(clips), sharex=True)
    for axis, clip in zip(axes, clips, strict=True):
        found = [c for c in report.conversions if c.clip == clip][::-1]
        colours = [ACCENT if c.way == OURS else INK if c.way == REENCODE else PALE for c in found]
        low = [c.fps.median - min(c.fps.values) for c in found]
        high = [max(c.fps.values) - c.fps.median for c in found]
        bars = axis.barh(
            [c.way for c in found], [c.fps.median for c in found],
            color=colours, xerr=[low, high], ecolor="#66727d",
        )  # fmt: skip
        axis.bar_label(bars, [f"{c.fps.median:.1f}" for c in found], padding=6)
        axis.set_title(clip, loc="left", fontsize=10)
    axes[-1].set_xlabel("frames a second, start and end of the process included")
    return figure


def _latency(report: Report) -> Figure:
    figure, axes = _figure(1.7 * len(report.sessions) + 0.4, count=len(report.sessions))
    for axis, session in zip(axes, report.sessions, strict=True):
        axis.plot(session.latency_ms, color=ACCENT, linewidth=0.9)
        axis.axhline(session.latency.p95, color=INK, linewidth=0.7, linestyle="--")
        axis.annotate(
            f"p95 {session.latency.p95:.0f} ms", (1, session.latency.p95),
            xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8,
        )  # fmt: skip
        axis.set_title(f"{session.kind}, {session.clip}", loc="left", fontsize=10)
        axis.set_ylim(0)
        axis.set_ylabel("ms")
    axes[-1].set_xlabel("frame")
    return figure


def _distribution(report: Report) -> Figure:
    figure, (axis,) = _figure(3.2)
    for session in report.sessions:
        ordered = np.sort(session.latency_ms)
        part = 100 * np.arange(1, len(ordered) + 1) / len(ordered)
        axis.plot(ordered, part, label=f"{session.kind}, {session.clip}")
    axis.set_xlabel("ms")
    axis.set_ylabel("% of the frames")
    axis.set_xlim(0)
    axis.set_ylim(0, 101)
    axis.legend(frameon=False, fontsize=8)
    return figure


def _waterfall(report: Report) -> Figure:
    """Bars that begin where the one before ends; parts of a stage under it, in pale."""
    clips = list(dict.fromkeys(s.clip for s in report.stages))
    figure, axes = _figure(2.6 * len(clips) + 0.3, count=len(clips))
    for axis, clip in zip(axes, clips, strict=True):
        at_ms = part_ms = 0.0
        names = []
        for stage in [s for s in report.stages if s.clip == clip]:
            ms = stage.time.median
            if stage.part_of:
                left, part_ms = part_ms, part_ms + ms
                names.append(f"· {stage.stage}")
            else:
                left = part_ms = at_ms
                at_ms += ms
                names.append(stage.stage)
            axis.barh(len(names), ms, left=left, color=PALE if stage.part_of else ACCENT)
            axis.annotate(
                f"{ms:.2f} ms", (left + ms, len(names)), (4, 0),
                textcoords="offset points", va="center", fontsize=8,
            )  # fmt: skip
        axis.set_yticks(range(1, len(names) + 1), names)
        axis.invert_yaxis()
        axis.margins(x=0.1)
        axis.set_title(f"{clip}: {at_ms:.1f} ms in all", loc="left", fontsize=10)
    axes[-1].set_xlabel("ms")
    return figure


def _scaling(report: Report) -> Figure:
    curves = report.scaling
    figure, axes = _figure(2.9 * -(-len(curves) // 2), columns=2, count=len(curves))
    for axis, curve in zip(axes, curves, strict=True):
        xs = np.array([point.x for point in curve.points])
        ys = [point.y.median for point in curve.points]
        axis.plot(xs, ys, "o", color=ACCENT)
        if curve.exponent is not None and curve.constant is not None:
            fine = np.geomspace(xs.min(), xs.max(), 50)
            label = f"exponent {curve.exponent:.2f}"
            axis.plot(fine, curve.constant * fine**curve.exponent, color=INK, label=label, lw=0.8)
            axis.legend(frameon=False, fontsize=8)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log", base=2)
        axis.set_xticks(xs, [point.label for point in curve.points], fontsize=8)
        axis.minorticks_off()
        axis.yaxis.set_major_formatter(lambda y, _: f"{y:.3g}")
        axis.set_title(curve.what, loc="left", fontsize=10)
        axis.set_xlabel(curve.x_name)
        axis.set_ylabel(curve.y_name)
    return figure


def _svg(figure: Figure) -> str:
    from matplotlib import rc_context

    text = io.StringIO()
    # Text as text, and the same names of its parts in every run.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "seg-bench"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]
