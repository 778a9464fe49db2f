"""One small run of everything, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from seg_stream.benchmarks.bench import Depth, Wanted, run_bench
from seg_stream.benchmarks.schema import Report

SMALL = Depth(
    name="small",
    sizes=((320, 180),),
    frames=24,
    rounds=1,
    slow_rounds=1,
    sessions=1,
    session_s=1.5,
    rates=(30,),
    network_rounds=2,
    network_round_s=0.02,
    stage_rounds=2,
    rows=(90, 180),
)


@pytest.fixture(scope="session")
def report() -> Report:
    for library in ("matplotlib", "skimage"):
        pytest.importorskip(library, reason="needs the extra 'bench'")
    said = list[str]()
    found = run_bench(Wanted(SMALL, []), said.append)
    assert any("whole files" in line for line in said)
    return found


@pytest.fixture(scope="session")
def folder(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report, written."""
    from seg_stream.benchmarks.report import write_report

    path = tmp_path_factory.mktemp("report")
    write_report(report, path)
    return path
