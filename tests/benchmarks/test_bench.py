"""What `seg-bench` measures and writes, on a small clip."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sys
from pathlib import Path

import pytest
from commands import run_bench_command

from seg_stream.benchmarks.files import OURS, REENCODE
from seg_stream.benchmarks.operations import count_operations
from seg_stream.benchmarks.ratios import ratios
from seg_stream.benchmarks.report import read_report
from seg_stream.benchmarks.scaling import fit, make_networks
from seg_stream.benchmarks.schema import Point, Report, Sample
from seg_stream.engines.models import shipped
from seg_stream.engines.select import open_engine

FRAMES = 24


def test_a_sample_is_a_median_and_half_of_the_range() -> None:
    sample = Sample.of("ms", [10.0, 12.0, 9.0])
    assert (sample.median, sample.spread) == (10.0, 0.15)


def test_every_shipped_model_ran_alone_with_one_and_with_all_threads(report: Report) -> None:
    assert {n.model for n in report.networks} == set(shipped())
    threads = {c.threads for c in report.ceilings}
    for model in shipped():
        assert {n.threads for n in report.networks if n.model == model} == threads
    assert all("ONNX Runtime" in n.engine for n in report.networks)
    assert all(n.calls.p50 <= n.calls.p95 <= n.calls.p99 <= n.calls.max for n in report.networks)


def test_no_network_is_quicker_than_its_floor(report: Report) -> None:
    """A floor above what was measured is counted wrong; a machine may be busy in between."""
    found = [n for n in report.networks if n.floor_ms]
    assert found
    assert all(0 < n.floor_ms < 3 * n.latency.median for n in found if n.floor_ms)


def test_every_stage_ran_alone(report: Report) -> None:
    stages = [s.stage for s in report.stages]
    assert stages == [
        "read", "prepare", "infer", "composite", "matte", "background", "blend", "write"
    ]  # fmt: skip
    assert {s.stage for s in report.stages if s.part_of == "composite"} == {
        "matte", "background", "blend"
    }  # fmt: skip


def test_the_ways_took_turns_on_the_same_clip(report: Report) -> None:
    ways = {c.way: c for c in report.conversions}
    assert {OURS, REENCODE, "plain loop, same network"} <= ways.keys()
    assert all(c.frames == FRAMES and len(c.fps.values) == 1 for c in ways.values())
    assert ways[OURS].stage_ms.keys() == {"read", "prepare", "infer", "composite", "write"}
    # The clock of the process runs longer than that of the frames.
    steady = ways[OURS].steady_fps
    assert steady and steady.median > ways[OURS].fps.median
    assert {ratio.way for ratio in ratios(report)} == ways.keys() - {OURS}


def test_memory_is_of_the_process_that_was_measured(report: Report) -> None:
    """Re-encoding loads no network; it must not be charged with this process's memory."""
    ways = {c.way: c.memory for c in report.conversions}
    if sys.platform == "win32":
        pytest.skip("there is no such figure on Windows")
    ours, reencode = ways[OURS], ways[REENCODE]
    assert ours and reencode
    assert reencode.median > 20
    assert 50 < ours.median < 2000


def test_sessions_count_frames_latency_and_starts(report: Report) -> None:
    file, live = report.sessions
    assert (file.kind, live.kind) == ("file", "live 30 fps")
    assert (file.frames, file.dropped) == (FRAMES, 0)
    assert live.dropped >= 0 and 0 < live.frames + live.dropped <= 46
    assert live.level.startswith("portrait")
    assert live.fps.median < 40
    for session in report.sessions:
        assert session.latency.p50 <= session.latency.p99 <= session.latency.max
        assert session.latency_ms
        # A new process imports and loads; one that has done so only loads.
        assert 0 < session.warm_start.median < session.cold_start.median < 60


def test_scaling_is_fitted_to_what_was_measured(report: Report) -> None:
    curves = {curve.what: curve for curve in report.scaling}
    threads = curves["threads of the network"]
    assert [point.x for point in threads.points] == sorted(c.threads for c in report.ceilings)
    frames = curves["size of the frame"]
    assert [point.label for point in frames.points] == ["90p", "180p"]
    assert frames.exponent is not None


def test_the_exponent_is_that_of_the_points() -> None:
    points = [
        Point(x=x, label=str(x), y=Sample.of("ms", [3.0 * x**1.5])) for x in (1.0, 2.0, 4.0, 9.0)
    ]
    curve = fit("made up", "x", "ms", points)
    assert curve.exponent == pytest.approx(1.5, abs=2e-3)
    assert curve.constant == pytest.approx(3, rel=2e-3)
    assert curve.r2 == pytest.approx(1, abs=1e-3)


def test_networks_of_other_sizes_are_the_articles_with_its_cost(tmp_path: Path) -> None:
    pytest.importorskip("tf2onnx", reason="needs the extra 'export'")
    make_networks([(32, 4), (64, 4)], tmp_path)
    small, large = (
        count_operations(tmp_path / f"unet-{name}.onnx").multiply_adds for name in ("32-4", "64-4")
    )
    assert large == 4 * small
    with open_engine("auto", tmp_path / "unet-32-4.onnx") as engine:
        assert (engine.input.width, engine.input.height) == (32, 32)


def test_the_report_says_nothing_private(folder: Path) -> None:
    text = (folder / "report.json").read_text() + (folder / "report.html").read_text()
    assert socket.gethostname() not in text
    assert str(Path.home()) + "/" not in text
    assert str(Path(__file__).parents[2]) not in text


def test_the_json_is_read_back_as_it_was_written(report: Report, folder: Path) -> None:
    assert read_report(folder / "report.json") == report


def test_the_schema_that_is_kept_is_the_one_in_force() -> None:
    kept = Path(__file__).parents[2] / "docs" / "report.schema.json"
    assert json.loads(kept.read_text()) == Report.model_json_schema(), (
        "write it again: seg-bench schema > docs/report.schema.json"
    )


def test_the_markdown_has_a_table_for_each_part(folder: Path) -> None:
    text = (folder / "report.md").read_text()
    for title in ("Whole files", "beside the others", "Networks alone", "Stages alone"):
        assert re.search(rf"^## .*{title}", text, re.MULTILINE)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) > 25
    assert "nan" not in text


def test_the_page_shows_everything_without_a_network(folder: Path, tmp_path: Path) -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if not chromium:
        pytest.skip("there is no Chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    asked, faults = list[str](), list[str]()
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto((folder / "report.html").as_uri())
        plots = page.locator("svg")
        assert plots.count() == 5
        for index in range(plots.count()):
            box = plots.nth(index).bounding_box()
            assert box and box["width"] > 500 and box["height"] > 80
        assert page.locator("table").count() >= 6
        assert page.locator("text=plain loop, same network").first.is_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.screenshot(path=tmp_path / "page.png", full_page=True)
        browser.close()
    assert not faults
    assert asked == [(folder / "report.html").as_uri()]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--output"),
        (["--output", "out", "--quick", "--full"], "contradict"),
        (["--output", "out", "--clip", "nowhere.mp4"], "nowhere.mp4"),
        (["compare", "nowhere.json", "nowhere.json"], "nowhere.json"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], words: str, tmp_path: Path) -> None:
    result = run_bench_command(*(str(tmp_path / a) if a == "out" else a for a in arguments))
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_something_else_is_not_taken_for_a_report(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text('{"a": 1}')
    result = run_bench_command("compare", path, path)
    assert result.returncode == 2
    assert "is not a report" in result.stderr
