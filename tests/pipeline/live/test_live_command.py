"""`seg-stream --camera`, as a user runs it: a camera on the network, files, figures, refusals."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path
from time import sleep

import numpy as np
import pytest
from clips import read_video
from commands import command_line, run_command

from seg_stream.benchmarks.fake_camera import FakeCamera, read_number, serve
from seg_stream.benchmarks.live_stage import likeness, scene


def test_a_session_is_recorded_and_its_figures_are_written(
    brightness_model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "recording.mp4"
    with serve(FakeCamera((160, 96), 15, scene=[scene()])) as url:
        result = run_command(
            "--camera", url, "--no-preview", "--output", output, "--bg", "#00b140",
            "--model", brightness_model, "--duration", "5", "--json", cwd=tmp_path,
        )  # fmt: skip
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures["captured"] == figures["shown"] + sum(figures["dropped"].values())
    assert figures["shown"] > 0
    assert re.search(r"capture to output p50 \d+, p95 \d+, p99 \d+ ms", result.stderr)
    assert "ONNX Runtime" in result.stderr
    shown = read_video(output)
    assert len(shown) == figures["outputs"][str(output)]["written"]
    numbers = [read_number(one.planes[0]) for one in shown]
    assert sum(number is not None for number in numbers) > 10
    assert max(likeness(np.asarray(one.planes[0], np.uint8)) for one in shown) < 0.3


def test_ctrl_c_finishes_the_recording(brightness_model: Path, tmp_path: Path) -> None:
    output = tmp_path / "recording.mkv"
    command = command_line(
        "--camera", "URL", "--no-preview", "--output", output, "--model", brightness_model
    )
    with serve(FakeCamera((160, 96), 15, scene=[scene()])) as url:
        command[command.index("URL")] = url
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
            assert process.stderr
            assert "mjpeg" in process.stderr.readline()
            sleep(2)
            process.send_signal(signal.SIGINT)
            errors = process.stderr.read()
            process.wait()
    assert process.returncode == 0, errors
    assert "frames captured" in errors
    assert len(read_video(output)) > 0


REFUSED = {
    "nothing to show it": (("--no-preview",), "goes nowhere"),
    "no time at all": (("--duration", "0"), "--duration is 0"),
    "no rate": (("--fps-target", "-1"), "--fps-target is -1"),
    "no address": (("--serve", "::1:80"), "expected PORT or HOST:PORT"),
    "transparent": (("--bg", "transparent"), "cannot be transparent"),
    "no such background": (("--bg", "nowhere.jpg"), "nowhere.jpg does not exist"),
    "no such settings": (("--config", "nowhere.toml"), "nowhere.toml"),
    "for files": (("--trim", "0-1"), "--trim is for files"),
}


@pytest.mark.parametrize(("options", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_in_a_sentence(
    options: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    result = run_command("--camera", "0", *options, cwd=tmp_path)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_what_is_for_a_camera_is_refused_for_files(tmp_path: Path) -> None:
    result = run_command("--input", "a.mp4", "--output", "b.mp4", "--serve", "8080", cwd=tmp_path)
    assert result.returncode == 2
    assert "--serve is for a camera" in result.stderr
