"""Settings that change while frames are made, and the folder of backgrounds."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from seg_stream.pipeline import UserError
from seg_stream.pipeline.live.controls import Controls
from seg_stream.pipeline.live.playlist import Playlist
from seg_stream.pipeline.live.settings import NAMES, PROPERTIES, LiveSettings, settings_of
from seg_stream.pipeline.matte import MatteSettings


def picture(path: Path) -> Path:
    cv2.imwrite(str(path), np.full((9, 16, 3), 90, np.uint8))
    return path


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"blur": 0.3}, r"'blur' is not known; did you mean blur_\w+\?"),
        ({"steadines": 0.3}, "did you mean steadiness"),
        ({"zzz": 1}, "expected one of background, blur_strength"),
        ({"blur_strength": 1.5}, "blur_strength is 1.5, expected a number from 0 to 1"),
        ({"blur_strength": "0.5"}, "blur_strength is '0.5', expected a number"),
        ({"blur_strength": True}, "blur_strength is true, expected a number"),
        ({"blur_strength": float("nan")}, "blur_strength is nan, expected a number"),
        ({"mirror": "yes"}, "mirror is 'yes', expected true or false"),
        ({"mirror": 1}, "mirror is 1, expected true or false"),
        ({"background": 7}, "background is 7, expected text"),
        ({"background": "#12"}, "'#12', expected #rrggbb"),
        ({"background": "transparent"}, "cannot be transparent"),
        ({"background": ""}, "background is empty"),
        ({"background": "x" * 5000}, "background is 'xxx"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as error:
        settings_of(values)
    assert len(str(error.value)) < 300
    controls = Controls()
    with pytest.raises(UserError):
        controls.change(mask_view=True, **values)
    assert controls.current == LiveSettings()


def test_the_defaults_are_those_of_files() -> None:
    assert LiveSettings().matte == MatteSettings()
    wide = settings_of({"threshold": 0.8, "edge_softness": 1}).matte
    assert (wide.low, wide.high) == pytest.approx((0.3, 1.0))
    for threshold in (0.1, 0.9):
        for softness in (0.02, 1):
            made = settings_of({"threshold": threshold, "edge_softness": softness}).matte
            assert made.low < threshold < made.high


def test_a_change_is_whole_and_seen_at_once() -> None:
    controls = Controls()
    before = controls.current
    after = controls.change(mirror=True, blur_strength=1)
    assert controls.current is after
    assert (after.mirror, after.blur_strength) == (True, 1.0)
    assert not before.mirror
    with pytest.raises(UserError, match=r"nowhere\.jpg does not exist"):
        controls.change(background="nowhere.jpg", mirror=False)
    assert controls.current is after
    with pytest.raises(UserError, match="does not exist"):
        Controls(settings_of({"background": "nowhere.jpg"}))


def test_two_threads_lose_nothing() -> None:
    controls = Controls(settings_of({"threshold": 0.1, "steadiness": 0.0}))

    def many(name: str) -> None:
        for _ in range(100):
            controls.step(name, 0.001)
            controls.toggle("mirror")

    threads = [threading.Thread(target=many, args=(name,)) for name in ("threshold", "steadiness")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert controls.current.threshold == pytest.approx(0.2)
    assert controls.current.steadiness == pytest.approx(0.1)
    assert not controls.current.mirror


def test_steps_end_at_the_limits() -> None:
    controls = Controls()
    assert controls.step("blur_strength", 5).blur_strength == 1
    assert controls.step("threshold", -5).threshold == 0.1


def test_listeners_hear_changes_and_notices() -> None:
    echoed: list[str] = []
    controls = Controls(echo=echoed.append)
    heard: list[tuple[bool, str]] = []
    end = controls.listen(lambda: heard.append((controls.current.mirror, controls.notice.text)))
    controls.change(mirror=True)
    controls.change(mirror=True)  # nothing new
    controls.say("Saved.")
    end()
    end()
    controls.toggle("mirror")
    assert heard == [(True, ""), (True, "Saved.")]
    assert controls.notice.number == 1
    assert echoed == ["Saved."]


def test_a_snapshot_is_taken_once() -> None:
    controls = Controls()
    assert not controls.take_snapshot_request()
    controls.request_snapshot()
    assert controls.take_snapshot_request()
    assert not controls.take_snapshot_request()


def test_backgrounds_go_round(tmp_path: Path) -> None:
    one, two = picture(tmp_path / "1.png"), picture(tmp_path / "2.jpg")
    controls = Controls(settings_of({"background": "#00b140"}), Playlist(tmp_path))
    assert controls.backgrounds == ("#00b140", str(one), str(two), "blur")
    seen = [controls.next_background().background for _ in range(4)]
    assert seen == [str(one), str(two), "blur", "#00b140"]
    assert controls.next_background(-1).background == "blur"
    two.unlink()
    assert controls.next_background(-1).background == str(one)
    controls.change(background="#111111")  # one that is not listed
    assert controls.next_background().background == "#00b140"


def test_without_a_playlist_there_is_still_the_room() -> None:
    assert Controls().next_background().background == "blur"
    assert Controls(settings_of({"background": "#00b140"})).next_background().background == "blur"


def test_a_playlist_stays_in_its_folder(tmp_path: Path) -> None:
    outside = picture(tmp_path / "secret.png")
    folder = tmp_path / "rooms"
    (folder / "deeper.png").mkdir(parents=True)
    (folder / "link.png").symlink_to(outside)
    (folder / "notes.txt").write_text("x")
    picture(folder / ".hidden.png")
    with pytest.raises(UserError, match="holds no picture or video"):
        Playlist(folder)
    inside = picture(folder / "beach.png")
    playlist = Playlist(folder)
    assert playlist.entries == (str(inside),)
    added = picture(folder / "alps.png")
    assert playlist.rescan() == (str(added), str(inside))
    with pytest.raises(UserError, match="cannot be read"):
        Playlist(tmp_path / "none")


def test_every_setting_has_a_title_for_the_page() -> None:
    assert all(field.title for field in LiveSettings.model_fields.values())
    numbers = [name for name in NAMES if PROPERTIES[name]["type"] == "number"]
    assert all({"minimum", "maximum"} <= PROPERTIES[name].keys() for name in numbers)
