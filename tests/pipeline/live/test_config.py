"""The settings file, keys and snapshots; each change comes through the controls."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, tzinfo
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import pytest

from seg_stream.pipeline import UserError
from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.live import snapshot
from seg_stream.pipeline.live.config import ConfigWatcher, read_config
from seg_stream.pipeline.live.controls import Controls
from seg_stream.pipeline.live.keymap import HELP, KEYS, press
from seg_stream.pipeline.live.settings import LiveSettings, settings_of
from seg_stream.pipeline.live.snapshot import SnapshotSink

pytestmark = pytest.mark.usefixtures("no_thread_outlives_its_run")


class Heard:
    """Waits until the controls are as expected, without asking again and again."""

    def __init__(self, controls: Controls) -> None:
        self._controls, self._changed = controls, threading.Condition()
        controls.listen(self._tell)

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def until(self, true: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(true, timeout=20), self._controls.notice


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("mirro = true", "'mirro' is not known; did you mean mirror"),
        ("mirror = 1", "mirror is 1, expected true or false"),
        ("mirror = ", "is not TOML: .*end of document"),
        ("[blur]\nstrength = 1", "'blur' is not known; did you mean blur_strength"),
        ("background = 'none.jpg'", r"live\.toml: The background .*none\.jpg does not exist"),
        ("#" * 70000, "is over 65536 bytes"),
        ("mirror = \xff", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "live.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=sentence):
        read_config(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_config(tmp_path / "none.toml")


def test_a_background_is_looked_for_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "beach.png").touch()
    path = tmp_path / "live.toml"
    path.write_text("background = 'beach.png'\nblur_strength = 1\n")
    assert read_config(path) == {"background": str(tmp_path / "beach.png"), "blur_strength": 1}
    path.write_text("background = '#00b140'\n")
    assert read_config(path) == {"background": "#00b140"}


def test_edits_are_taken_over_and_broken_ones_are_not(tmp_path: Path) -> None:
    path = tmp_path / "live.toml"
    path.write_text("mirror = true\nsteadiness = 0.2\n")
    values = read_config(path)
    start = settings_of({"background": "#00b140"})
    controls = Controls(settings_of({**dict(start), **values}))
    heard = Heard(controls)
    with ConfigWatcher(path, values, start, controls):
        controls.change(threshold=0.6)  # set elsewhere: no edit undoes it
        path.write_text("mirror = true\nsteadiness = 0.3\n")
        heard.until(lambda: controls.notice.text == "live.toml: steadiness changed.")
        assert controls.current == settings_of(
            {"background": "#00b140", "mirror": True, "steadiness": 0.3, "threshold": 0.6}
        )
        path.write_text("mirror = true\nsteadyness = 0.9\n")
        heard.until(lambda: "did you mean steadiness" in controls.notice.text)
        assert "settings stay as they are" in controls.notice.text
        assert controls.current.steadiness == 0.3
        beside = tmp_path / "beside"
        beside.write_text("background = 'blur'\n")
        beside.replace(path)  # as many editors save
        heard.until(lambda: controls.current.background == "blur")
        assert (controls.current.mirror, controls.current.steadiness) == (False, 0.85)
        path.unlink()
        heard.until(lambda: "cannot be read" in controls.notice.text)
        path.write_text("")
        heard.until(lambda: controls.current.background == "#00b140")
    assert controls.current.threshold == 0.6


def test_every_key_does_what_it_says() -> None:
    for key in KEYS:
        controls = Controls(settings_of({"background": "#00b140", "light_wrap": 0.5}))
        controls.change(match_colour=0.5)
        before = controls.current
        assert press(key.char, controls)
        changed = controls.current != before
        assert changed != controls.take_snapshot_request(), key
        assert f"{key.char} {key.words}" in HELP
    assert len({key.char for key in KEYS}) == len(KEYS)
    assert not {"q", "h", "?"} & {key.char for key in KEYS}


def test_keys_go_there_and_back() -> None:
    controls = Controls()
    for key in "tTeEsS-+LlKkmmvvppff":
        assert press(key, controls)
    assert controls.current == LiveSettings()
    press("=", controls)
    assert controls.current.blur_strength > LiveSettings().blur_strength
    press("?", controls)
    assert controls.notice.text == HELP
    assert not press("q", controls)
    assert not press("", controls)


def frame(value: int) -> Frame:
    planes = (np.full((48, 64, 3), value, np.uint8),)
    return Frame(0, planes, "bgr24", Colour(), 0, Fraction(1, 1000), 0.0)


def test_a_snapshot_is_the_next_picture_put_out(tmp_path: Path) -> None:
    controls = Controls()
    heard = Heard(controls)
    with SnapshotSink(controls, tmp_path) as sink:
        sink.write(frame(1))
        press("c", controls)
        sink.write(frame(2))
        sink.write(frame(3))
        heard.until(lambda: controls.notice.text.startswith("Saved "))
        controls.request_snapshot()
        sink.write(frame(4))
    saved = sorted(tmp_path.iterdir())
    assert [int(cv2.imread(str(path)).mean()) for path in saved] == [2, 4]
    assert all(path.suffix == ".png" and path.name.startswith("snapshot-2") for path in saved)


def test_snapshots_within_a_millisecond_are_all_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls(2026, 1, 2, 3, 4, 5, 6000, tz)

    monkeypatch.setattr(snapshot, "datetime", Stopped)
    controls = Controls()
    heard = Heard(controls)
    with SnapshotSink(controls, tmp_path) as sink:
        for number in (1, 2, 3):
            controls.request_snapshot()
            sink.write(frame(number))
            heard.until(partial(_has_said, controls, number))
    names = [f"snapshot-20260102-030405-006{end}.png" for end in ("", "_2", "_3")]
    assert [int(cv2.imread(str(tmp_path / name)).mean()) for name in names] == [1, 2, 3]
    assert names == sorted(names)


def _has_said(controls: Controls, number: int) -> bool:
    return controls.notice.number == number


def test_a_snapshot_that_cannot_be_saved_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        SnapshotSink(Controls(), tmp_path / "none")
    folder = tmp_path / "gone"
    folder.mkdir()
    controls = Controls()
    with SnapshotSink(controls, folder) as sink:
        folder.rmdir()
        controls.request_snapshot()
        sink.write(frame(1))
    assert "could not be saved" in controls.notice.text
