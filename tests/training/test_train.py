"""The training script as a user runs it: train, be killed, resume, export, score."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from seg_stream.engines.select import open_engine
from tests.training.data import write_data

pytest.importorskip("tensorflow", reason="training needs the extra 'train'")

SMALL = ["--size", "64", "--width", "4", "--samples", "16", "--batch", "4", "--seed", "5"]


def command(data: Path, out: Path, epochs: int, *more: str) -> list[str]:
    train = [sys.executable, "-m", "seg_stream.training.train", *more]
    return [*train, "--data", str(data), "--out", str(out), "--epochs", str(epochs), *SMALL]


def environment() -> dict[str, str]:
    return {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_killed_training_resumes_and_its_result_exports(tmp_path: Path) -> None:
    data, out = write_data(tmp_path / "data"), tmp_path / "run"
    process = subprocess.Popen(command(data, out, 40), env=environment())
    deadline = time.monotonic() + 240
    while not ((out / "log.csv").exists() and len(rows(out)) >= 2):
        assert time.monotonic() < deadline, "no epoch was finished"
        assert process.poll() is None, "training ended by itself"
        time.sleep(0.05)
    process.kill()
    process.wait()
    done = len(rows(out))
    assert not (out / "final.keras").exists()

    subprocess.run(command(data, out, done + 1), env=environment(), check=True, timeout=240)
    assert [int(row["epoch"]) for row in rows(out)] == list(range(done + 1))
    assert (out / "sheet.png").exists()

    start = ["--start-from", str(out / "final.keras"), "--rate", "1e-9"]
    tuned = tmp_path / "tuned"
    subprocess.run(command(data, tuned, 1, *start), env=environment(), check=True, timeout=240)
    assert abs(float(rows(tuned)[0]["loss"]) - float(rows(out)[-1]["loss"])) < 0.3
    assert (tuned / "final.keras").exists()

    onnx = tmp_path / "model.onnx"
    images = ["--images", str(data / "ccp" / "images")]
    export = ["-m", "seg_stream.export.command", str(out / "final.keras"), "-o", str(onnx)]
    main = "from seg_stream.export.command import main; main()"
    subprocess.run(
        [sys.executable, "-c", main, *export[2:], *images],
        env=environment(), check=True, timeout=240,
    )  # fmt: skip
    with open_engine("auto", onnx) as engine:
        mask = engine.infer(np.full(engine.input.shape, 128, np.float32))
    assert mask.shape == (64, 64)

    score = [sys.executable, "-m", "seg_stream.training.evaluate", "--data", str(data)]
    result = subprocess.run(
        [*score, "--worst", str(tmp_path / "worst.png"), str(onnx)],
        capture_output=True, text=True, check=True, timeout=240,
    )  # fmt: skip
    assert "IoU ccp 0." in result.stdout
    assert (tmp_path / "worst.png").exists()


def test_missing_data_end_with_one_sentence(tmp_path: Path) -> None:
    result = subprocess.run(
        command(tmp_path / "nothing", tmp_path / "run", 1),
        env=environment(), capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert result.returncode == 2
    assert "index.csv cannot be read" in result.stderr
    assert "Traceback" not in result.stderr
