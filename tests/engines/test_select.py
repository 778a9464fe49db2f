"""Which engine is taken, what is said of the others, and the change-over while one is built."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from typer.testing import CliRunner

from seg_stream.engines import select
from seg_stream.engines.contract import Engine
from seg_stream.engines.onnxruntime_cpu import OnnxRuntimeEngine
from seg_stream.engines.select import ON_GPU, EngineChoice, open_engine
from seg_stream.engines.switching import SwitchingEngine
from seg_stream.pipeline.command import app
from seg_stream.pipeline.errors import SegStreamError, Stopped, UserError
from seg_stream.pipeline.job import Job
from seg_stream.pipeline.types import FloatImage

LIBRARIES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}

WAIT_S = 30


def has_gpu() -> bool:
    try:
        import pycuda.driver as driver

        driver.init()
        return bool(driver.Device.count())
    except Exception:  # not installed, or no driver
        return False


no_gpu = pytest.mark.skipif(has_gpu(), reason="there is a GPU here that would be taken")


@no_gpu
def test_auto_falls_back_to_the_cpu_without_a_word_where_there_is_no_driver(
    brightness_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select, "has_driver", lambda: False)
    with open_engine("auto", brightness_model) as engine:
        assert isinstance(engine, OnnxRuntimeEngine)
        assert list(engine.notes) == []


@no_gpu
def test_with_a_driver_it_says_which_engine_and_why_not_the_others(
    brightness_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select, "has_driver", lambda: True)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with open_engine("auto", brightness_model) as engine:
        (note,) = engine.notes
    assert note.startswith(f"The engine is {engine.name}; not tensorrt: ")
    assert "tensorrt: The package tensorrt is not installed" in note
    for name in ON_GPU:
        assert f"{name}: " in note


@no_gpu
def test_require_gpu_fails_with_every_reason(brightness_model: Path) -> None:
    with pytest.raises(UserError, match="No engine works on a GPU here") as caught:
        open_engine(EngineChoice(require_gpu=True), brightness_model)
    for name in ON_GPU:
        assert f"{name}: " in str(caught.value)
    assert str(caught.value).count("\n") == 0


def test_require_gpu_contradicts_an_engine_on_the_cpu(brightness_model: Path) -> None:
    with pytest.raises(UserError, match="leave out --require-gpu"):
        open_engine(EngineChoice("onnxruntime", require_gpu=True), brightness_model)


@no_gpu
@pytest.mark.parametrize("name", ON_GPU)
def test_an_engine_that_is_named_fails_with_its_reason(name: str, brightness_model: Path) -> None:
    with pytest.raises(SegStreamError) as caught:
        open_engine(name, brightness_model)
    assert "install" in str(caught.value)


@pytest.mark.parametrize("name", LIBRARIES)
def test_an_absent_library_is_named(
    name: str, brightness_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, LIBRARIES[name], None)
    with pytest.raises(UserError, match=f"The package {LIBRARIES[name]} is not installed"):
        open_engine(name, brightness_model)


class PresentGpu:
    """Stands for a GPU that opens; what runs on it is tested where there is one."""

    def __init__(self, index: int = 0) -> None:
        self.name, self.index = "NVIDIA Test", index
        self.closed = False
        OPENED.append(self)

    def call(self, function: Callable[..., object], *arguments: object) -> object:
        return function(*arguments)

    def close(self) -> None:
        self.closed = True


OPENED: list[PresentGpu] = []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ImportError('libnvinfer.so.11: cannot open')", "libnvinfer"),
        ("raise RuntimeError('boom')", "boom"),
        ("1 / 0", "division"),
    ],
)
def test_a_broken_library_is_left_out_and_the_gpu_is_given_back(
    code: str, words: str, tmp_path: Path, brightness_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tensorrt.py").write_text(code)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("seg_stream.engines.tensorrt_engine.Gpu", PresentGpu)
    monkeypatch.setattr(select, "has_driver", lambda: True)
    OPENED.clear()
    with open_engine(EngineChoice(gpu=3), brightness_model) as engine:
        assert isinstance(engine, OnnxRuntimeEngine)
        assert words in engine.notes[0]
    assert [gpu.index for gpu in OPENED] == [3]
    assert all(gpu.closed for gpu in OPENED)
    sys.modules.pop("tensorrt", None)


def test_an_onnxruntime_without_cuda_says_what_to_install(
    brightness_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(UserError, match="pip install onnxruntime-gpu"):
        open_engine("cuda", brightness_model)


def test_a_provider_that_is_named_but_refuses_is_an_error(
    brightness_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with onnxruntime-gpu on a machine whose CUDA is another one."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    OPENED.clear()
    with pytest.raises(SegStreamError):
        open_engine("cuda", brightness_model)
    assert not OPENED


def test_a_model_at_fault_is_the_users_whatever_the_engine(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"broken")
    with pytest.raises(UserError, match="cannot be loaded as an ONNX model"):
        open_engine("auto", broken)


@no_gpu
def test_an_engine_file_needs_a_gpu_and_tensorrt(tmp_path: Path) -> None:
    path = tmp_path / "model.engine"
    path.write_bytes(b"engine")
    with pytest.raises(UserError, match=r"tensorrt: .*tensorrt-rtx: "):
        open_engine("auto", path)
    with pytest.raises(UserError, match="is a TensorRT engine; leave out --engine onnxruntime"):
        open_engine("onnxruntime", path)


def test_a_choice_travels_with_a_job() -> None:
    job = Job(Path("in.mp4"), Path("out.mp4"), engine=EngineChoice("tensorrt", 1, True))
    assert Job.from_json(job.to_json()) == job
    plain = Job(Path("in.mp4"), Path("out.mp4"))
    assert Job.from_json(plain.to_json()).engine == "auto"


@no_gpu
def test_the_command_fails_rather_than_fall_back(photograph: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    result = CliRunner().invoke(
        app, ["--input", str(photograph), "--output", str(output), "--require-gpu", "--gpu", "1"]
    )
    assert isinstance(result.exception, UserError)
    assert "No engine works on a GPU here" in str(result.exception)
    assert not output.exists()


class Halving(Engine):
    """A better engine than another one: its masks are half as large, so that they tell."""

    def __init__(self, like: Engine) -> None:
        self.name, self.info, self.input, self.output = "better", like.info, like.input, like.output
        self.notes = ["built"]
        self.closed = False

    def infer(self, tensor: FloatImage) -> FloatImage:
        mask: FloatImage = np.full((self.output.height, self.output.width), 0.5, np.float32)
        return mask

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def first(brightness_model: Path) -> OnnxRuntimeEngine:
    return OnnxRuntimeEngine(brightness_model)


def bright(engine: Engine) -> FloatImage:
    return np.full(engine.input.shape, 255, np.float32)


@pytest.mark.usefixtures("no_thread_outlives_its_run")
def test_it_changes_over_between_two_frames_and_drops_none(first: OnnxRuntimeEngine) -> None:
    built, better = threading.Event(), Halving(first)

    def later(_: threading.Event) -> Engine:
        built.wait(WAIT_S)
        return better

    with SwitchingEngine(first, later, "tensorrt") as engine:
        masks = [engine.infer(bright(engine)).max() for _ in range(3)]
        assert engine.name == first.name
        built.set()
        engine.wait()
        assert engine.name == first.name, "only a frame changes it"
        masks += [engine.infer(bright(engine)).max() for _ in range(2)]
        assert engine.name == "better"
    assert masks == [1, 1, 1, 0.5, 0.5]
    assert better.closed
    with pytest.raises(SegStreamError, match="closed"):
        first.infer(bright(first))
    assert "is being built" in engine.notes[0]
    assert engine.notes[1] == "built"
    assert engine.notes[2].startswith(f"better took over from {first.name} after 3 frames")
    with pytest.raises(SegStreamError, match="closed"):
        engine.infer(bright(engine))
    engine.close()


@pytest.mark.usefixtures("no_thread_outlives_its_run")
def test_a_build_that_fails_is_a_note_and_the_first_engine_runs_on(
    first: OnnxRuntimeEngine,
) -> None:
    def later(_: threading.Event) -> Engine:
        raise RuntimeError("out of memory")

    with SwitchingEngine(first, later, "tensorrt") as engine:
        engine.wait()
        assert engine.infer(bright(engine)).max() == 1
        assert engine.notes[1:] == ["tensorrt cannot be used: out of memory"]


@pytest.mark.usefixtures("no_thread_outlives_its_run")
def test_closing_ends_a_build(first: OnnxRuntimeEngine) -> None:
    def later(stop: threading.Event) -> Engine:
        assert stop.wait(WAIT_S)
        raise Stopped("stopped")

    engine = SwitchingEngine(first, later, "tensorrt")
    engine.infer(bright(engine))
    engine.close()
    assert len(engine.notes) == 1
    assert "--require-gpu waits" in engine.notes[0]


@pytest.mark.usefixtures("no_thread_outlives_its_run")
def test_an_engine_that_came_too_late_is_closed(first: OnnxRuntimeEngine) -> None:
    better = Halving(first)
    engine = SwitchingEngine(first, lambda _: better, "tensorrt")
    engine.wait()
    engine.close()
    assert better.closed


@pytest.mark.usefixtures("no_thread_outlives_its_run")
def test_an_engine_of_another_shape_is_not_changed_to(
    first: OnnxRuntimeEngine, write_model: Callable[..., Path], tmp_path: Path
) -> None:
    with OnnxRuntimeEngine(write_model(tmp_path / "m.onnx", shape=(1, 3, 8, 8))) as small:
        other = Halving(small)
    with SwitchingEngine(first, lambda _: other, "tensorrt") as engine:
        engine.wait()
        assert engine.infer(bright(engine)).max() == 1
    assert other.closed
    assert "(1, 3, 8, 8)" in engine.notes[1]
