"""Training and scoring as a user runs them: train, be killed, resume, export, compare."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from seg_stream.engines.select import open_engine
from seg_stream.training import averaging
from seg_stream.training.command import main
from tests.training.data import write_data

pytest.importorskip("tensorflow", reason="training needs the extra 'train'")

SMALL = [
    "--arch", "fcn32s", "--size", "64", "--width", "4", "--samples", "16", "--validation", "8",
    "--batch", "4", "--seed", "5",
]  # fmt: skip

PROCESSES = ["--processes", "2"] if sys.platform == "linux" else []


def command(data: Path, out: Path, epochs: int, *more: str) -> list[str]:
    call = [sys.executable, "-m", "seg_stream.training.command", "--data", str(data)]
    return [*call, "--out", str(out), "--epochs", str(epochs), *SMALL, *more]


def environment() -> dict[str, str]:
    return {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}


def train(arguments: list[str]) -> int:
    """Run the command in this process, where TensorFlow is loaded already; its exit code."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", arguments[2:])
        main()
    return int(ended.value.code or 0)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What is said to the user's mistake."""
    code = train(arguments)
    said = capsys.readouterr().err
    assert code == 2, said
    assert "Traceback" not in said
    return said


def averaged(out: Path, *arguments: str) -> int:
    """Run the averaging as by hand, in this process; its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["averaging", str(out), *arguments])
        return averaging.main()


def check_averages(before: Path, tuned: Path, mixed: Path) -> None:
    """Weights of two runs are mixed by shares that add up to one, into a file of its own."""
    import keras

    shares = [f"{before}=0.25", f"{tuned / 'final.keras'}=0.75"]
    assert averaged(mixed, *shares, "--like", str(tuned)) == 0
    a, b, c = (
        keras.models.load_model(path, compile=False).get_weights()[0]
        for path in (before, tuned / "final.keras", mixed)
    )
    np.testing.assert_allclose(c, 0.25 * a + 0.75 * b, atol=1e-6)
    written = mixed.read_bytes()
    assert averaged(mixed, *shares, "--like", str(tuned)) == 2
    other = mixed.with_name("other.keras")
    assert averaged(other, f"{before}=0.5", "--like", str(tuned)) == 2
    assert averaged(other, f"{tuned / 'log.csv'}=1", "--like", str(tuned)) == 2
    assert averaged(other, f"{before}=1", "--like", str(mixed.parent)) == 2
    assert averaged(other, f"{before}=half", "--like", str(tuned)) == 2
    assert averaged(other, f"{before}=0.5", f"{before}=0.5", "--like", str(tuned)) == 2
    assert averaged(other, f"{before}=1", "--like", str(tuned), "--size", "33x32") == 2
    assert averaged(other, f"{before}=1", "--like", str(tuned), "--size", "large") == 2
    assert averaged(mixed.parent / "no" / "x.keras", f"{before}=1", "--like", str(tuned)) == 2
    assert averaged(other.with_suffix(".h5"), f"{before}=1", "--like", str(tuned)) == 2
    long = other.with_name("x" * 255 + ".keras")
    assert averaged(long, f"{before}=1", "--like", str(tuned)) == 2
    assert mixed.read_bytes() == written
    assert not other.exists()
    assert averaged(other, *shares, "--like", str(tuned), "--size", "64x32") == 0
    assert keras.models.load_model(other, compile=False).input_shape == (None, 32, 64, 3)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_killed_training_resumes_and_its_result_exports(tmp_path: Path) -> None:
    data, out = write_data(tmp_path / "data"), tmp_path / "run"
    process = subprocess.Popen(command(data, out, 40, *PROCESSES), env=environment())
    deadline = time.monotonic() + 240
    try:
        while not ((out / "log.csv").exists() and len(rows(out)) >= 2):
            assert time.monotonic() < deadline, "no epoch was finished"
            assert process.poll() is None, "training ended by itself"
            time.sleep(0.05)
        composing = psutil.Process(process.pid).children(recursive=True)
        assert len(composing) >= 2 * bool(PROCESSES)
    finally:
        process.kill()
        process.wait()
    assert not psutil.wait_procs(composing, timeout=20)[1], "they end with the run"
    done = len(rows(out))
    assert not (out / "final.keras").exists()

    assert train(command(data, out, done + 1)) == 0
    assert [int(row["epoch"]) for row in rows(out)] == list(range(done + 1))
    for name in ("samples.png", "curves.png", "predictions.png", "settings.json"):
        assert (out / name).stat().st_size > 100, name
    for name in ("last.keras", "best.keras", "final.keras"):
        assert (out / name).exists(), name

    start = ["--start-from", str(out / "final.keras"), "--rate", "1e-4", "--share", "0.5"]
    tuned = tmp_path / "tuned"
    assert train(command(data, tuned, 1, *start)) == 0
    assert abs(float(rows(tuned)[0]["loss"]) - float(rows(out)[-1]["loss"])) < 0.3
    import keras

    before, trained, shared = (
        [layer.kernel.numpy() for layer in keras.models.load_model(path, compile=False).layers
         if isinstance(layer, keras.layers.Conv2D)]
        for path in (out / "final.keras", tuned / "best.keras", tuned / "final.keras")
    )  # fmt: skip
    assert any((a != b).any() for a, b in zip(before, trained, strict=True))
    for a, b, c in zip(before, trained, shared, strict=True):
        np.testing.assert_allclose(c, (a + b) / 2, atol=1e-7)
    check_averages(out / "final.keras", tuned, tmp_path / "mixed.keras")

    onnx = tmp_path / "model.onnx"
    export = [str(out / "final.keras"), "-o", str(onnx), "--images", str(data / "ccp" / "images")]
    call = "from seg_stream.export.command import main; main()"
    subprocess.run(
        [sys.executable, "-c", call, *export], env=environment(), check=True, timeout=240
    )
    with open_engine("auto", onnx) as engine:
        mask = engine.infer(np.full(engine.input.shape, 128, np.float32))
    assert mask.shape == (64, 64)

    scores = tmp_path / "scores.json"
    score = [sys.executable, "-m", "seg_stream.training.evaluation.command", "--data", str(data)]
    subprocess.run(
        [*score, "--json", str(scores), "--worst", str(tmp_path / "worst"), str(onnx),
         "portrait-lite"],
        check=True, timeout=240,
    )  # fmt: skip
    ours, shipped = json.loads(scores.read_text())["models"]
    assert set(ours["suite"]) == {"ccp", "headshots", "all"}
    assert shipped["name"] == "portrait-lite"
    assert ours["latency_ms"] > 0
    assert (tmp_path / "worst" / "2-portrait-lite.png").exists()

    subprocess.run(
        [*score, "--suite", "photographed", "--json", str(scores), str(onnx)],
        check=True,
        timeout=240,
    )
    written = json.loads(scores.read_text())
    assert written["suite"] == "photographed"
    (ours,) = written["models"]
    assert set(ours["suite"]) == {"ccp"}, "only its people are whole"


def test_the_same_seed_gives_the_same_curves_and_another_run_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_data(tmp_path / "data")
    assert train(command(data, tmp_path / "one", 2, "--workers", "1")) == 0
    assert train(command(data, tmp_path / "two", 2, "--workers", "2")) == 0
    again = command(data, tmp_path / "three", 2, *PROCESSES)  # in a process of its own
    subprocess.run(again, env=environment(), check=True, timeout=240)
    for name in ("two", "three"):
        for one, two in zip(rows(tmp_path / "one"), rows(tmp_path / name), strict=True):
            assert {k: float(v) for k, v in one.items()} == pytest.approx(
                {k: float(v) for k, v in two.items()}, rel=1e-4
            )

    before = (tmp_path / "one" / "last.keras").read_bytes()
    said = refused(command(data, tmp_path / "one", 3, "--rate", "0.5"), capsys)
    assert "holds a run with other settings (--rate 0.001)" in said
    assert (tmp_path / "one" / "last.keras").read_bytes() == before


@pytest.mark.skipif(not PROCESSES, reason="processes are for Linux")
def test_a_killed_composer_ends_the_run_with_one_sentence(tmp_path: Path) -> None:
    data, out = write_data(tmp_path / "data"), tmp_path / "run"
    process = subprocess.Popen(
        command(data, out, 4000, *PROCESSES), env=environment(), text=True, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 240
    try:
        while not ((out / "log.csv").exists() and rows(out)):
            assert time.monotonic() < deadline, "no epoch was finished"
            assert process.poll() is None, "training ended by itself"
            time.sleep(0.05)
        psutil.Process(process.pid).children()[0].kill()
        said = process.communicate(timeout=60)[1]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1
    assert "seg-train: A process that composes samples ended by itself" in said
    assert "Traceback" not in said


def test_fcn32s_trains_at_the_default_size(tmp_path: Path) -> None:
    """TensorFlow's process was aborted in the first step."""
    data, out = write_data(tmp_path / "data"), tmp_path / "run"
    larger = ("--size", "256x160", "--batch", "16", "--validation", "16")
    fresh = {name: text for name, text in environment().items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    subprocess.run(command(data, out, 1, *larger), env=fresh, check=True, timeout=240)
    assert (out / "final.keras").exists()


def test_half_precision_trains_and_leaves_a_plain_model(tmp_path: Path) -> None:
    import keras

    data, out = write_data(tmp_path / "data"), tmp_path / "run"
    for epochs in (1, 2):
        assert train(command(data, out, epochs, "--precision", "float16")) == 0
    assert [int(row["epoch"]) for row in rows(out)] == [0, 1]
    model = keras.models.load_model(out / "final.keras")
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}


def test_generic_layers_are_trained_on_request(tmp_path: Path) -> None:
    """Those of the body stay as they came, unless --all-layers is given."""
    import keras

    data = write_data(tmp_path / "data")
    small = ["--arch", "unet_lite", "--samples", "8", "--batch", "4", "--validation", "8"]

    def stem(out: Path, *more: str) -> np.ndarray:
        assert train(command(data, out, 1, *small, "--width", "8", *more)) == 0
        model = keras.models.load_model(out / "best.keras", compile=False)
        return np.asarray(model.get_layer("stem").kernel)

    first = stem(tmp_path / "first")
    start = ["--start-from", str(tmp_path / "first" / "best.keras")]
    np.testing.assert_array_equal(stem(tmp_path / "kept", *start), first)
    assert (stem(tmp_path / "all", *start, "--all-layers") != first).any()


def test_a_run_that_no_longer_gets_better_stops(tmp_path: Path) -> None:
    data, out = write_data(tmp_path / "data"), tmp_path / "run"
    still = [
        "--arch",
        "fcn32s",
        "--rate",
        "1e-30",
        "--patience",
        "2",
    ]  # steps too small to change a weight
    assert train(command(data, out, 30, *still)) == 0
    losses = [float(row["val_loss"]) for row in rows(out)]
    assert len(losses) < 30
    assert len(losses) - 1 - losses.index(min(losses)) == 2
    assert (out / "final.keras").exists()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--arch", "resnet"], "seg-train: --arch resnet is not known; choose one of unet"),
        (["--size", "100x64"], "needs sides divisible by"),
        (["--weight", "ccp"], "is not FOLDER=NUMBER"),
        (["--weight", "cpp=1"], "--weight names cpp, but the folders of pairs are ccp"),
        (["--start-from", "nothing.keras"], "nothing.keras cannot be started from"),
        (["--batch", "64"], "--batch 64 is more than --samples 16 or --validation 8"),
        (["--rate", "-1"], "--rate is -1.0, which does not fit: input should be greater than 0"),
        (["--share", "0.5"], "--share is given without --start-from"),
        (
            ["--arch", "fcn32s", "--imagenet", "body.pth"],
            "--imagenet is for unet_lite, unet_lite2 and two_scale, not for fcn32s",
        ),
        (
            ["--all-layers"],
            "--all-layers is for unet_lite, unet_lite2 and two_scale with --imagenet",
        ),
        (
            ["--share", "2"],
            "--share is 2.0, which does not fit: input should be less than or equal",
        ),
        (["--backgrounds", "."], "has no .jpg background"),
        (["--backgrounds", "b" * 300], "cannot be used (File name too long); check it."),
        (["--weight", "ccp=1e308"], "--weight is 1e+308, which does not fit"),
        (["--seed", "99999999999999"], "--seed is 99999999999999, which does not fit"),
    ],
)
def test_bad_settings_end_with_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    sentence: str,
) -> None:
    arguments = command(write_data(tmp_path / "data"), tmp_path / "run", 1, *more)
    monkeypatch.chdir(tmp_path)
    assert sentence in refused(arguments, capsys)


def test_a_loss_that_is_no_number_stops_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write_data(tmp_path / "data"), tmp_path / "run"
    assert train(command(data, out, 3, "--rate", "1e38")) == 1
    assert "is not a number" in capsys.readouterr().err
    assert not (out / "final.keras").exists()


@pytest.mark.parametrize(
    "files",
    [
        ["settings.json", "best.keras"],
        ["settings.json", "log.csv"],
        ["last.keras"],
        ["start.keras"],
    ],
)
def test_what_is_no_run_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: list[str]
) -> None:
    data, out = write_data(tmp_path / "data"), tmp_path / "run"
    out.mkdir()
    for name in files:
        (out / name).write_text("{}")
    said = refused(command(data, out, 1), capsys)
    assert "but no run to resume" in said
    assert sorted(path.name for path in out.iterdir()) == sorted(files)
    assert all((out / name).read_text() == "{}" for name in files)


def test_a_run_is_begun_once_its_data_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    refused(command(tmp_path / "nothing", out, 1), capsys)
    assert not list(out.iterdir())


def test_a_damaged_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = write_data(tmp_path / "data"), tmp_path / "run"
    assert train(command(data, out, 1)) == 0
    capsys.readouterr()
    last = out / "last.keras"
    last.write_bytes(last.read_bytes()[:500])
    assert "last.keras cannot be loaded" in refused(command(data, out, 2), capsys)
    assert train(command(data, out, 1, "--share", "1")) == 0, "there is nothing to go on with"
    capsys.readouterr()
    log = (out / "log.csv").read_bytes()
    for damaged in (b"\xff\xfe\n\xff", log[:-20], b"a,b\n1,2\n"):
        (out / "log.csv").write_bytes(damaged)
        assert "log.csv is not what seg-train writes" in refused(command(data, out, 2), capsys)
        assert (out / "log.csv").read_bytes() == damaged


def test_a_run_interrupted_in_its_first_epoch_begins_anew(tmp_path: Path) -> None:
    """Also where the best weights are saved and only the log's line is missing."""
    data, out = write_data(tmp_path / "data"), tmp_path / "run"
    assert train(command(data, out, 1)) == 0
    (out / "final.keras").unlink()
    (out / "log.csv").write_text("")
    assert train(command(data, out, 1)) == 0
    assert len(rows(out)) == 1


def test_the_log_of_a_run_whose_weights_are_gone_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write_data(tmp_path / "data"), tmp_path / "run"
    assert train(command(data, out, 1)) == 0
    for path in out.glob("*.keras"):
        path.unlink()
    capsys.readouterr()
    assert "no run to resume" in refused(command(data, out, 1), capsys)
    assert len(rows(out)) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are Unicode")
def test_a_run_may_have_any_name(tmp_path: Path) -> None:
    out = tmp_path / os.fsdecode(b"run_\xff\xfe")
    assert train(command(write_data(tmp_path / "data"), out, 1)) == 0
    assert (out / "samples.png").stat().st_size > 1000
    assert (out / "predictions.png").stat().st_size > 1000


def test_missing_data_end_with_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(command(tmp_path / "nothing", tmp_path / "run", 1), capsys)
    assert "nothing does not exist" in said
