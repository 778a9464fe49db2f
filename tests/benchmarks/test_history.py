"""Reports that are kept, and the README's figures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from commands import run_bench_command

from seg_stream.benchmarks.history import BLOCK, block, keep
from seg_stream.benchmarks.report import read_report
from seg_stream.benchmarks.schema import Report

ROOT = Path(__file__).parents[2]
KEPT = sorted((ROOT / "benchmarks" / "reports").glob("*.json"))


def test_the_readme_says_what_a_kept_report_says() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    found = BLOCK.search(readme)
    assert found, "the README has no place for figures"
    name = found["report"]
    if name == "none":
        pytest.skip("no report is kept yet")
    assert found[0] == block(name, read_report(ROOT / name)), (
        f"the README's figures are not those of {name}: seg-bench keep {name}"
    )


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_kept_report_is_named_after_release_and_machine(path: Path) -> None:
    report = read_report(path)
    assert path.stem == f"{report.seg_stream}-{report.machine.slug}"


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_kept_report_holds_no_folders(path: Path) -> None:
    assert not re.search(r'"[^"]*(/home/|/root|/tmp/|/Users/|\\\\)', path.read_text("utf-8"))


def test_keeping_a_report_writes_the_figures(report: Report, folder: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n\n<!-- figures of none -->\nold\n<!-- end -->\n\nafter\n")
    kept = keep(folder / "report.json", tmp_path / "reports", readme)
    assert read_report(kept) == report
    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n")
    assert "old" not in text
    assert f"<!-- figures of reports/{kept.name} -->" in text
    assert "320x180, 24 frames" in text
    assert "live 30 fps, 320x180" in text
    keep(folder / "report.json", tmp_path / "reports", readme)
    assert readme.read_text() == text


def test_a_readme_without_a_place_is_refused(folder: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("nothing\n")
    result = run_bench_command(
        "keep", folder / "report.json", "--folder", tmp_path / "reports", "--readme", readme
    )
    assert result.returncode == 2
    assert "figures of" in result.stderr
    assert not (tmp_path / "reports").exists()
