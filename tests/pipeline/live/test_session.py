"""The whole session on a simulated clock: what leaves it, when, and what is counted.

Threads, source, network and compositing are the real ones; only the camera is not, and time.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from simulated import SimulatedClock

from seg_stream.benchmarks.fake_camera import Mishap
from seg_stream.benchmarks.live_soak import play
from seg_stream.benchmarks.live_stage import GREEN, Stage, Trouble, Watching, likeness, room_luma
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.live.session import LiveStatus

pytestmark = pytest.mark.usefixtures("no_thread_outlives_its_run")

STRANGER = 0.15
"""A picture that has less in common with the room has nothing of it."""


def act(stage: Stage, seconds: float) -> LiveStatus:
    """Run with one output and hold every picture that came out against the room."""
    stage.session.add_output("output", stage.sink)
    status = stage.session.run(duration_s=seconds)
    assert stage.sink.finished
    assert max(one.likeness for one in stage.sink.seen) < STRANGER
    assert status.captured == status.shown + sum(status.dropped.values())
    pts = [one.pts for one in stage.sink.seen]
    assert all(after > before for before, after in pairwise(pts))
    return status


def test_every_frame_is_shown_in_time(brightness_model: Path) -> None:
    stage = Stage(SimulatedClock(), brightness_model)
    status = act(stage, 5)
    numbers = [one.number for one in stage.sink.seen if one.number is not None]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert status.shown >= 145
    assert not status.absence
    delay = status.outputs["output"].delay
    assert 20 <= delay.p50_ms <= delay.worst_ms <= 21, "the network takes 20 ms, and nothing waits"
    assert status.mask_age.worst_ms == 0, "each mask is of its own frame"
    assert stage.lines == []


def test_the_room_can_be_recognised_where_it_is_shown() -> None:
    """Else the other tests would prove nothing."""
    assert likeness(room_luma()) > 0.99
    faint = (room_luma() * 0.1 + 100).astype("uint8")
    assert likeness(faint) > 0.9
    assert likeness(np.full_like(faint, 90)) == 0


def test_nothing_is_shown_before_the_first_good_mask(brightness_model: Path) -> None:
    trouble = Trouble(0, 2, "raise")
    stage = Stage(SimulatedClock(), brightness_model, troubles=[trouble])
    act(stage, 6)
    first = next(one.at_s for one in stage.sink.seen if one.number is not None)
    assert 2 <= first < 4
    assert {one.number for one in stage.sink.between(0, 2)} == {None}


TROUBLES = {
    "the network fails": Trouble(2, 1, "raise"),
    "the network takes everything for the person": Trouble(2, 1, "everything"),
    "masks come too late": Trouble(2, 1, "slow", 0.3),
    "the network hangs": Trouble(2, 0.01, "slow", 1.2),
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_a_network_in_trouble_means_the_placeholder(
    trouble: Trouble, brightness_model: Path
) -> None:
    stage = Stage(SimulatedClock(), brightness_model, troubles=[trouble])
    status = act(stage, 8)
    during = stage.sink.between(2.4, 3.0)
    assert during, "programs that read a camera want to hear from it"
    assert {one.number for one in during} == {None}
    back = next(one.at_s for one in stage.sink.seen if one.at_s > 3 and one.number is not None)
    assert back < 4.5
    assert sum("Placeholder" in line for _, line in stage.lines) == 1
    assert sum("is back" in line for _, line in stage.lines) == 1
    assert status.absence == ""


MISHAPS = {
    "stall": Mishap(2, "stall", 2),
    "unplug": Mishap(2, "unplug", 2),
    "busy": Mishap(2, "busy", 2),
    "corrupt": Mishap(2, "corrupt", 2),
}


@pytest.mark.parametrize("mishap", MISHAPS.values(), ids=MISHAPS)
def test_a_camera_in_trouble_means_the_placeholder_until_it_is_back(
    mishap: Mishap, brightness_model: Path
) -> None:
    stage = Stage(SimulatedClock(), brightness_model, script=[mishap])
    act(stage, 7)
    assert {one.number for one in stage.sink.between(2.4, 4.0)} == {None}
    assert len(stage.sink.between(2.4, 4.0)) >= 14
    back = next(one.at_s for one in stage.sink.seen if one.at_s > 4 and one.number is not None)
    assert back <= 5, "within a second of the camera's return"
    assert sum("Placeholder" in line for _, line in stage.lines) >= 1


def test_a_background_that_fails_means_the_placeholder(
    brightness_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(SimulatedClock(), brightness_model)
    broken = stage.session._shelf.get(GREEN, None)  # type: ignore[arg-type]

    def fail(*_: object) -> None:
        raise OSError("the disk is gone")

    stage.at(2, lambda: monkeypatch.setattr(broken, "planes", fail))
    act(stage, 6)
    assert None in {one.number for one in stage.sink.between(2, 2.2)}
    assert any("disk is gone" in line for _, line in stage.lines)
    assert stage.sink.seen[-1].number is not None, "it was made anew"


def test_a_pause_is_seen_in_the_next_frame_and_the_network_rests(brightness_model: Path) -> None:
    stage = Stage(SimulatedClock(), brightness_model)
    calls: list[int] = []
    stage.at(2, lambda: stage.controls.change(paused=True))
    stage.at(2.1, lambda: calls.append(stage.engines[0].calls))
    stage.at(4.9, lambda: calls.append(stage.engines[0].calls))
    stage.at(5, lambda: stage.controls.change(paused=False))
    status = act(stage, 7)
    assert {one.number for one in stage.sink.between(2.034, 5.0)} == {None}
    assert {one.number for one in stage.sink.between(5.1, 7.0)} - {None}
    assert calls[0] == calls[1]
    assert status.dropped["paused"] >= 85
    assert stage.lines == []


def test_where_nobody_watches_the_network_rests(brightness_model: Path) -> None:
    stage = Stage(SimulatedClock(), brightness_model)
    calls: list[int] = []

    def watch(watched: bool) -> None:
        stage.sink.watched = watched

    stage.at(2, lambda: watch(False))
    stage.at(2.1, lambda: calls.append(stage.engines[0].calls))
    stage.at(4.9, lambda: calls.append(stage.engines[0].calls))
    stage.at(5, lambda: watch(True))
    status = act(stage, 7)
    assert calls[0] == calls[1]
    assert status.dropped["nobody watches"] >= 85
    back = next(one.at_s for one in stage.sink.seen if one.at_s > 5 and one.number is not None)
    assert back < 5.1


def test_a_slow_output_drops_its_own_frames_and_holds_no_other(brightness_model: Path) -> None:
    stage = Stage(SimulatedClock(), brightness_model)
    slow = Watching(stage.clock, pause_s=0.25)
    stage.session.add_output("slow", slow)
    status = act(stage, 5)
    assert status.outputs["output"].dropped == 0
    assert status.outputs["output"].delay.worst_ms <= 21
    assert status.outputs["slow"].dropped > 100
    assert len(slow.seen) >= 15
    newest = [one.at_s - one.captured_s for one in slow.seen if one.number is not None]
    assert max(newest) < 0.3, "the newest picture is taken, not the oldest"
    got = status.outputs["slow"]
    assert got.written + got.dropped == status.shown + status.placeholders


class Failing(Watching):
    def write(self, frame: Frame) -> None:
        if len(self.seen) == 10:
            raise UserError("The disk is full.")
        super().write(frame)


def test_an_output_that_fails_is_given_up_and_the_others_go_on(brightness_model: Path) -> None:
    stage = Stage(SimulatedClock(), brightness_model)
    bad = Failing(stage.clock)
    stage.session.add_output("recording", bad)
    act(stage, 3)
    assert len(bad.seen) == 10
    assert bad.finished
    assert len(stage.sink.seen) > 80
    assert [line for _, line in stage.lines] == [
        "recording failed and gets no more frames: The disk is full."
    ]


def test_the_last_output_that_fails_ends_the_session(brightness_model: Path) -> None:
    stage = Stage(SimulatedClock(), brightness_model)
    stage.session.add_output("recording", Failing(stage.clock))
    with pytest.raises(UserError, match="disk is full"):
        stage.session.run(duration_s=60)
    assert stage.clock.now_s() - stage.start_s < 3


def test_a_slow_camera_is_no_camera_in_trouble(brightness_model: Path) -> None:
    stage = Stage(SimulatedClock(), brightness_model, rate=2)
    status = act(stage, 10)
    assert stage.lines == []
    assert status.shown >= 17
    assert {one.number for one in stage.sink.between(2, 10)}.isdisjoint({None})


def corners(stage: Stage, from_s: float, to_s: float) -> set[tuple[int, ...]]:
    return {one.corner for one in stage.sink.between(from_s, to_s) if one.number is not None}


def test_another_background_is_seen_in_the_next_frame_and_a_file_without_a_wait(
    brightness_model: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "beach.png"
    cv2.imwrite(str(picture), np.full((4000, 6000, 3), (200, 30, 30), np.uint8))
    broken = tmp_path / "broken.mp4"
    broken.write_text("this is no video")
    stage = Stage(SimulatedClock(), brightness_model)
    stage.at(2, lambda: stage.controls.change(background="#ff0000"))
    stage.at(4, lambda: stage.controls.change(background=str(picture)))
    stage.at(6, lambda: stage.controls.change(background=str(broken)))
    stage.at(8, lambda: stage.controls.change(background="#0000ff"))
    status = act(stage, 10)
    (green,) = corners(stage, 0.1, 2.0)
    (red,) = corners(stage, 2.034, 4.0)
    (beach,) = corners(stage, 4.2, 8.0)
    (blue,) = corners(stage, 8.034, 10.0)
    assert len({green, red, beach, blue}) == 4
    assert status.outputs["output"].delay.worst_ms <= 21, "nobody waited"
    assert [line for _, line in stage.lines] == [
        f"The background was not changed: The background {broken} is neither a picture nor a video "
        "that can be read (" + stage.lines[0][1].partition("read (")[2]
    ]


def test_mirror_and_mask_view_are_seen_in_the_next_frame(brightness_model: Path) -> None:
    stage = Stage(SimulatedClock(), brightness_model)
    stage.at(2, lambda: stage.controls.change(mirror=True))
    stage.at(4, lambda: stage.controls.change(mirror=False, mask_view=True))
    act(stage, 6)
    assert {one.number is None for one in stage.sink.between(0.1, 2.0)} == {False}
    mirrored = stage.sink.between(2.034, 4.0)
    assert all(one.number is None or one.number > 1000 for one in mirrored), "read in a mirror"
    assert stage.sink.between(4.1, 6.0)[0].corner[1:] == (128, 128)
    assert {one.corner[0] for one in stage.sink.between(4.1, 6.0)} == {0}


def test_ten_minutes_of_everything_that_cameras_do(brightness_model: Path) -> None:
    """The same in real time is `make live-soak`."""
    played = play(SimulatedClock(), seconds=600, rate=6, model=brightness_model)
    assert played.complaints() == []
    assert played.status.shown > 2800
    assert played.status.outputs["output"].delay.p99_ms <= 60
