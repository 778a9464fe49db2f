"""Two reports beside each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from commands import run_bench_command

from seg_stream.benchmarks.clips import render_clip
from seg_stream.benchmarks.compare import compare
from seg_stream.benchmarks.schema import Noise, Report, Sample
from seg_stream.benchmarks.stages import measure_stages
from seg_stream.engines.models import DEFAULT
from seg_stream.pipeline import look


def save(report: Report, path: Path) -> Path:
    path.write_text(report.model_dump_json())
    return path


def calm(report: Report) -> Report:
    """The report as from a machine that hardly differs from itself."""
    reference = Sample.of("ms", [10.0, 10.1])
    return report.model_copy(
        update={"noise": Noise(pairs=0.02, drift=reference.spread, reference=reference)}
    )


def test_a_report_is_the_same_as_itself(report: Report, tmp_path: Path) -> None:
    path = save(report, tmp_path / "a.json")
    result = run_bench_command("compare", path, path)
    assert result.returncode == 0
    assert result.stdout.startswith("0 figures changed")


def test_a_sleep_in_a_stage_is_named(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured twice for real: as it is, and with a pause in the middle of compositing."""
    clip = render_clip(tmp_path / "clip.mp4", 320, 180, 10)
    ceiling = report.ceilings[0]

    def measure() -> Report:
        stages = measure_stages(clip, "#00b140", DEFAULT, ceiling, rounds=2, threads=1)
        return calm(report).model_copy(update={"stages": stages})

    before = measure()
    blend: Callable[..., Any] = look.blend

    def slow(*planes: Sequence[Any]) -> Any:
        time.sleep(0.05)
        return blend(*planes)

    monkeypatch.setattr(look, "blend", slow)
    after = measure()

    result = run_bench_command(
        "compare", save(before, tmp_path / "a.json"), save(after, tmp_path / "b.json")
    )
    assert result.returncode == 1
    first = result.stdout.splitlines()[0]
    assert first.startswith("stage composite alone, clip: slower by"), result.stdout


def test_what_is_within_noise_is_no_change(report: Report) -> None:
    before, after = calm(report), calm(report)
    network = after.networks[0]
    values = [network.latency.median * 1.015] * 2

    slower = network.model_copy(update={"latency": Sample.of("ms", values)})
    first = before.networks[0].model_copy(
        update={"latency": Sample.of("ms", [network.latency.median] * 2)}
    )
    before = before.model_copy(update={"networks": [first]})
    after = after.model_copy(update={"networks": [slower]})
    assert compare(before, after).changes == []


def test_a_machine_that_got_slower_as_a_whole_is_no_regression(report: Report) -> None:
    """The reference work took half as long again; so may everything else."""
    before = calm(report)
    network = before.networks[0]
    steady = network.model_copy(update={"latency": Sample.of("ms", [8.0, 8.0])})
    slower = network.model_copy(update={"latency": Sample.of("ms", [11.0, 11.0])})
    before = before.model_copy(update={"networks": [steady]})
    reference = Sample.of("ms", [15.0, 15.1])
    after = before.model_copy(
        update={
            "networks": [slower],
            "noise": Noise(pairs=0.02, drift=0.003, reference=reference),
        }
    )
    assert compare(before, after).changes == []
    same = after.model_copy(update={"noise": before.noise})
    (change,) = compare(before, same).regressions
    assert change.factor == pytest.approx(8 / 11)


def test_a_slower_peer_is_told_but_is_no_regression(report: Report) -> None:
    before = calm(report)
    network = before.networks[0].model_copy(
        update={"peer": True, "latency": Sample.of("ms", [8.0, 8.0])}
    )
    slower = network.model_copy(update={"latency": Sample.of("ms", [20.0, 20.0])})
    before = before.model_copy(update={"networks": [network]})
    result = compare(before, before.model_copy(update={"networks": [slower]}))
    assert len(result.changes) == 1
    assert result.regressions == []


def test_fewer_frames_a_second_is_worse_and_less_memory_is_better(report: Report) -> None:
    before = calm(report)
    ours = before.conversions[0].model_copy(
        update={"fps": Sample.of("fps", [50.0]), "memory": Sample.of("MiB", [400.0])}
    )
    later = ours.model_copy(
        update={"fps": Sample.of("fps", [25.0]), "memory": Sample.of("MiB", [200.0])}
    )
    before = before.model_copy(update={"conversions": [ours]})
    result = compare(before, before.model_copy(update={"conversions": [later]}))
    words = sorted(change.words for change in result.changes)
    assert "memory: smaller by 2.00 times, 400 -> 200 MiB" in words[0]
    assert "slower by 2.00 times, 50 -> 25 fps" in words[1]
    assert len(result.regressions) == 1
