"""The governor: less when too few frames come out, more when all is well, and it says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from simulated import SimulatedClock

from seg_stream.benchmarks.live_stage import Stage, Trouble
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.live.governor import Governor, Level, levels_of


def test_a_smaller_network_comes_before_fewer_masks_and_no_mask_is_moved_for_long() -> None:
    assert levels_of("portrait", 30) == [
        Level("portrait"),
        Level("portrait-lite"),
        Level("portrait-lite", 2),
    ]
    assert levels_of("mine.onnx", 60) == [Level("mine.onnx", every) for every in (1, 2, 3, 4)]
    assert levels_of("mine.onnx", 10) == [Level("mine.onnx")]
    for rate in (10, 15, 24, 30, 60, 120):
        assert max((level.every - 1) / rate for level in levels_of("x", rate)) <= 0.05


class Machine:
    """Reaches so many frames a second at each level."""

    def __init__(self, reached: list[float], target_fps: float | None = None) -> None:
        self.lines: list[str] = []
        self.governor = Governor(levels_of("portrait", 30), target_fps, self.lines.append)
        self.reached = reached
        self.now_s, self.came, self.shown = 0.0, 0.0, 0.0
        self.history: list[int] = []

    def run(self, seconds: int) -> None:
        for _ in range(seconds * 10):
            self.governor.judge(self.now_s, int(self.came), int(self.shown))
            at = self.governor.levels.index(self.governor.level)
            self.history.append(at)
            self.now_s += 0.1
            self.came += 3
            self.shown += self.reached[at] / 10


def test_it_goes_down_to_the_first_level_that_keeps_up_and_stays_there() -> None:
    machine = Machine([10, 20, 30])
    machine.run(8)
    assert machine.history[-1] == 2
    assert len(machine.lines) == 2
    assert "10 of 30 frames" in machine.lines[0]
    assert "portrait-lite on every frame" in machine.lines[0]
    assert "every other frame" in machine.lines[1]


def test_a_target_that_is_reached_costs_no_quality() -> None:
    machine = Machine([16, 20, 30], target_fps=15)
    machine.run(30)
    assert set(machine.history) == {0}
    assert machine.lines == []


def test_it_goes_up_again_once_the_machine_is_free() -> None:
    machine = Machine([10, 20, 30])
    machine.run(8)
    machine.reached = [30, 30, 30]
    machine.run(40)
    assert machine.history[-1] == 0
    assert "keeps up" in machine.lines[-1]


def test_what_does_not_hold_is_tried_ever_less_often() -> None:
    machine = Machine([10, 30, 30])
    machine.run(600)
    tries = sum("keeps up" in line for line in machine.lines)
    assert 3 <= tries <= 7
    assert machine.history.count(0) < 0.1 * len(machine.history)


def test_where_nothing_helps_it_is_said_once() -> None:
    machine = Machine([1, 2, 3])
    machine.run(60)
    assert len(machine.lines) == 3
    assert "no less to do" in machine.lines[-1]


def test_time_without_a_camera_says_nothing() -> None:
    machine = Machine([30, 30, 30])
    machine.run(3)
    machine.governor.restart()
    machine.now_s += 100
    machine.run(3)
    assert machine.lines == []


def test_a_session_lowers_the_rate_of_the_network_and_raises_it_again(
    brightness_model: Path,
) -> None:
    """The network takes 50 ms for a while: too much for 30 frames a second, but not for 15."""
    trouble = Trouble(3, 8, "slow", 0.05)
    stage = Stage(SimulatedClock(), brightness_model, troubles=[trouble], cost_s=0.01)
    stage.session.add_output("output", stage.sink)
    status = stage.session.run(duration_s=35)
    said = [line for _, line in stage.lines]
    assert any("cannot keep up" in line and "every other frame" in line for line in said)
    assert "keeps up" in said[-1]
    assert status.level.endswith("on every frame")
    busy = [one for one in stage.sink.between(7, 11) if one.number is not None]
    assert len(busy) > 100, "frames between two masks are shown too"
    assert status.mask_age.worst_ms <= 100
    assert max(one.likeness for one in stage.sink.seen) < 0.15


def test_a_rate_of_nothing_is_refused(brightness_model: Path) -> None:
    with pytest.raises(UserError, match="0 frames a second"):
        stage = Stage(SimulatedClock(), brightness_model, fps_target=0)
        stage.session.close()
