"""Several files at once, what is said before a run, and answers for scripts."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from fractions import Fraction
from pathlib import Path

import cv2
import pytest
from clips import person_in_room, read_video, write_video
from commands import command_line, run_command

from seg_stream.pipeline import UserError
from seg_stream.pipeline.batch import is_batch, plan
from seg_stream.pipeline.describe import describe
from seg_stream.pipeline.job import Job


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two whole videos, a broken one, a photo and a text."""
    talks = tmp_path / "talks"
    talks.mkdir()
    for name in ("a.mp4", "b.mkv"):
        write_video(talks / name, [person_in_room() for _ in range(4)])
    (talks / "broken.mp4").write_text("no video at all")
    cv2.imwrite(str(talks / "photo.png"), read_video(talks / "a.mp4")[0].bgr())
    (talks / "notes.txt").write_text("hello")
    return talks


def test_a_failed_file_does_not_stop_the_others_and_a_second_run_skips_what_is_done(
    folder: Path, tmp_path: Path, brightness_model: Path
) -> None:
    arguments = ["--input", "talks", "--output", "out", "--bg", "#000000", "--model",
                 str(brightness_model), "--json"]  # fmt: skip
    result = run_command(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert "Failed: talks/broken.mp4" in result.stderr
    assert "3 converted, 1 failed." in result.stderr
    assert "Traceback" not in result.stderr
    states = {Path(o["input"]).name: o["state"] for o in json.loads(result.stdout)}
    assert states == {"a.mp4": "done", "b.mkv": "done", "broken.mp4": "failed", "photo.png": "done"}
    assert len(read_video(tmp_path / "out" / "b.mkv")) == 4
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}

    (folder / "broken.mp4").unlink()
    again = run_command(*arguments, cwd=tmp_path)
    assert again.returncode == 0
    assert "0 converted, 3 there already." in again.stderr
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}


def test_several_inputs_go_into_a_folder(
    folder: Path, tmp_path: Path, brightness_model: Path
) -> None:
    result = run_command(
        "--input", folder / "a.mp4", "--input", folder / "b.mkv", "--output", "out.mp4",
        "--model", brightness_model, cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 2
    assert "there are several inputs; name a folder" in result.stderr


def test_names_of_results(folder: Path, tmp_path: Path) -> None:
    (folder / "a.avi").write_bytes(b"x")
    names = [task.output.name for task in plan([folder], Job(folder, tmp_path / "out"))]
    assert names == ["a.avi.mp4", "a.mp4", "b.mkv", "broken.mp4", "photo.png"]
    with pytest.raises(UserError, match="Two inputs would be written"):
        plan([folder / "a.mp4", folder.parent / "talks" / "a.mp4"], Job(folder, tmp_path / "out"))
    with pytest.raises(UserError, match="is the input folder itself"):
        plan([folder], Job(folder, folder))


def test_a_folder_of_pictures_is_one_input(folder: Path) -> None:
    assert is_batch([folder])
    assert is_batch([folder / "a.mp4", folder / "b.mkv"])
    assert not is_batch([folder / "a.mp4"])
    for path in folder.iterdir():
        if path.suffix != ".png":
            path.unlink()
    assert not is_batch([folder])


def test_a_dry_run_says_what_it_understood_and_writes_nothing(tmp_path: Path) -> None:
    write_video(
        tmp_path / "talk.mp4", [person_in_room() for _ in range(50)], colour=(1, 1, 1, 1),
        sound=(Fraction(0), Fraction(1)), rotation=90,
    )  # fmt: skip
    result = run_command(
        "--input", "talk.mp4", "--output", "out.webm", "--quality", "40", "--dry-run", "--json",
        cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "h264 64x96, 25 fps, 0:02.0, yuv420p BT.709 limited" in result.stderr
    assert "audio aac 48000 Hz stereo" in result.stderr
    assert "libvpx-vp9" in result.stderr
    (entry,) = json.loads(result.stdout)
    assert entry["input"]["frames"] == 50
    assert "crf 40" in entry["encoder"]
    assert [path.name for path in tmp_path.iterdir()] == ["talk.mp4"]


def test_an_input_is_described(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mkv", [person_in_room() for _ in range(10)], rate=10)
    found = describe(clip)
    assert (found.width, found.height, found.fps, found.codec) == (96, 64, 10.0, "h264")
    assert found.kind == "video"
    picture = tmp_path / "p.png"
    cv2.imwrite(str(picture), read_video(clip)[0].bgr())
    assert str(describe(picture)).endswith("p.png: 1 picture of 96x64")


def test_the_result_as_json(tmp_path: Path, brightness_model: Path) -> None:
    write_video(tmp_path / "clip.mp4", [person_in_room() for _ in range(4)])
    result = run_command(
        "--input", "clip.mp4", "--output", "out.mp4", "--model", brightness_model, "--json",
        cwd=tmp_path,
    )  # fmt: skip
    figures = json.loads(result.stdout)
    assert figures["frames"] == 4
    assert figures["stopped"] is False
    assert set(figures["stage_ms"]) == {"read", "prepare", "infer", "composite", "write"}


def test_a_stopped_batch_leaves_no_file_that_looks_done(
    tmp_path: Path, brightness_model: Path
) -> None:
    talks = tmp_path / "talks"
    talks.mkdir()
    for name in ("a.mp4", "b.mp4"):
        write_video(talks / name, [person_in_room() for _ in range(3000)], options={"crf": "30"})
    process = subprocess.Popen(
        command_line("--input", "talks", "--output", "out", "--model", brightness_model),
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 50
    while not list((tmp_path / "out").glob(".*")):
        assert time.monotonic() < deadline, "nothing was begun"
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=50)
    assert process.returncode == 128 + signal.SIGTERM
    assert "2 not done" in said
    assert list((tmp_path / "out").iterdir()) == []


def test_hidden_and_own_files_are_left_alone(folder: Path, tmp_path: Path) -> None:
    (folder / "._a.mp4").write_bytes(b"x")
    assert all(
        not task.input.name.startswith(".")
        for task in plan([folder], Job(folder, tmp_path / "out"))
    )
    with pytest.raises(UserError, match="is one of the inputs"):
        plan([folder / "a.mp4", folder / "b.mkv"], Job(folder, folder))
