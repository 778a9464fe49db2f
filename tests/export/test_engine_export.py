"""`seg-export --to engine` from outside: a real TensorRT-RTX engine, its report, its exit codes."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from plans import read_plan
from typer.testing import CliRunner, Result

from seg_stream.engines.engine_file import EngineReport, read_report
from seg_stream.engines.models import find_model
from seg_stream.export.command import app
from seg_stream.export.engine_export import export_engine
from seg_stream.pipeline.errors import Stopped, UserError

if TYPE_CHECKING:
    import keras

onnx = pytest.importorskip("onnx", reason="needs the export extra (onnx)")
pytest.importorskip("tensorrt_rtx", reason="needs the rtx extra (tensorrt-rtx)")
pytest.importorskip("skimage", reason="needs scikit-image for its photographs")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_shipped_model_becomes_an_engine_with_a_report(tmp_path: Path) -> None:
    output = tmp_path / "model.engine"
    result = run("portrait-lite", "--to", "engine", "-o", output, "--engine", "tensorrt-rtx")
    assert result.exit_code == 0, result.output
    report = read_report(output)
    assert report is not None
    assert report.info.name == "portrait-lite"
    assert report.engine == "tensorrt-rtx"
    assert report.engine_sha256 == sha256(output.read_bytes())
    assert report.onnx_sha256 == sha256(find_model("portrait-lite").read_bytes())
    assert report.iou >= 0.995
    assert report.photographs == 4
    assert f"{report.iou:.5f}" in result.output
    assert {path.name for path in tmp_path.iterdir()} == {"model.engine", "model.engine.json"}


def test_a_keras_file_becomes_an_engine(article_model: keras.Model, tmp_path: Path) -> None:
    model, output = tmp_path / "article.keras", tmp_path / "article.engine"
    article_model.save(model)
    result = run(model, "--to", "engine", "-o", output, "--licence", "MIT")
    assert result.exit_code == 0, result.output
    report = read_report(output)
    assert report is not None
    assert (report.info.name, report.info.licence) == ("article", "MIT")
    assert "prone to overflow" in report.fp32_layers.values(), "the mean of its three sigmoids"
    assert "in between" in result.output
    plan = read_plan(output.read_bytes())
    assert len(plan.convolutions) == 23
    assert "__myl_NegSlicSlicSlicSlicMinMinMinNeg" in plan.between
    assert "__myl_Move" not in plan.between, "a copy of a skip connection"
    assert {path.name for path in tmp_path.iterdir()} == {
        "article.keras", "article.engine", "article.engine.json",
    }  # fmt: skip


@pytest.fixture
def overflowing(tmp_path: Path) -> Path:
    """A shipped model with a detour over numbers that FP16 cannot hold."""
    model = onnx.load(find_model("portrait"))
    sigmoid = next(node for node in model.graph.node if node.op_type == "Sigmoid")
    position = list(model.graph.node).index(sigmoid)
    for number, (name, factor) in enumerate((("far", 1e7), ("near", 1e-7))):
        weight = onnx.helper.make_tensor(f"{name}_factor", onnx.TensorProto.FLOAT, [], [factor])
        model.graph.initializer.append(weight)
        node = onnx.helper.make_node("Mul", [sigmoid.input[0], weight.name], [name], name)
        model.graph.node.insert(position + number, node)
        sigmoid.input[0] = name
    path = tmp_path / "overflowing.onnx"
    onnx.save(model, path)
    return path


def test_layers_at_fault_are_kept_in_fp32_and_named(overflowing: Path, tmp_path: Path) -> None:
    output = tmp_path / "model.engine"
    result = run(overflowing, "--to", "engine", "-o", output)
    assert result.exit_code == 0, result.output
    report = read_report(output)
    assert report is not None
    assert set(report.fp32_layers) == {"far", "near"}
    assert "far: its values are too large for FP16" in " ".join(result.output.split())


def test_a_build_that_is_stopped_leaves_what_was_there(tmp_path: Path) -> None:
    output, stop = tmp_path / "model.engine", threading.Event()
    output.write_bytes(b"the one from before")

    def end(phase: str, _: float) -> None:
        if phase == "Building engine":
            stop.set()

    with pytest.raises(Stopped, match="nothing was written"):
        export_engine(Path("portrait-lite"), output, progress=end, stop=stop)
    assert output.read_bytes() == b"the one from before"
    assert [path.name for path in tmp_path.iterdir()] == ["model.engine"]


INTERRUPTED = """
import os, signal, sys
from seg_stream.engines import tensorrt_build
real = tensorrt_build.build
def build(*arguments, progress=None, **more):
    return real(*arguments, progress=lambda *_: os.kill(os.getpid(), signal.SIGINT), **more)
import seg_stream.export.engine_export as engine_export
engine_export.build = build
from seg_stream.export.command import main
sys.argv = ["seg-export", "portrait-lite", "--to", "engine", "-o", sys.argv[1]]
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal on Windows")
def test_ctrl_c_ends_the_command_in_one_sentence(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, tmp_path / "m.engine"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    assert result.returncode == 128 + signal.SIGINT, result.stderr
    assert result.stderr == "seg-export: Stopped; nothing was written.\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["portrait-lite", "-o", "m.onnx", "--to", "engine"], "must end in .engine"),
        (["absent.onnx", "-o", "m.engine", "--to", "engine"], "absent.onnx does not exist"),
        (["broken.onnx", "-o", "m.engine", "--to", "engine"], "cannot be loaded as an ONNX"),
        (["m.keras", "-o", "m.onnx", "--engine", "tensorrt"], "--engine is for --to engine"),
    ],
)
def test_a_users_error_is_one_sentence_and_exit_2(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.onnx").write_bytes(b"broken")
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_absent_builder_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    arguments = ("portrait-lite", "--to", "engine", "-o", tmp_path / "m.engine")
    result = run(*arguments, "--engine", "tensorrt")
    assert result.exit_code == 2
    assert "pip install 'seg-stream[gpu]'" in result.stderr
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    result = run(*arguments)
    assert result.exit_code == 2
    assert "seg-stream[gpu]" in result.stderr
    assert "seg-stream[rtx]" in result.stderr


def test_a_report_about_another_engine_or_none_is_seen(tmp_path: Path) -> None:
    engine = tmp_path / "m.engine"
    engine.write_bytes(b"engine")
    assert read_report(engine) is None
    report = EngineReport(
        info={"name": "m"}, engine="tensorrt", engine_version="11", engine_bytes=6,
        engine_sha256=sha256(b"engine"), onnx_sha256="", seg_stream="0", build_s=1,
        photographs=4, iou=1, max_abs_error=0, fp16_layers=3,
    )  # fmt: skip
    beside = tmp_path / "m.engine.json"
    beside.write_text(report.model_dump_json())
    assert read_report(engine) == report
    engine.write_bytes(b"another")
    with pytest.raises(UserError, match="about another engine"):
        read_report(engine)
    beside.write_text("{}")
    with pytest.raises(UserError, match="cannot be read"):
        read_report(engine)
    assert np.isfinite(report.max_abs_error)
