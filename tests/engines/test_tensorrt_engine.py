"""The TensorRT engine around its library: what is built and kept, and that no failure is missed.

The engines are really built, by TensorRT-RTX; what runs them here is a stand-in.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from stand_ins import StandInGpu, StandInRuntime

from seg_stream.engines.engine_file import read_report
from seg_stream.engines.onnxruntime_cpu import OnnxRuntimeEngine
from seg_stream.engines.select import EngineChoice, open_engine
from seg_stream.engines.switching import SwitchingEngine
from seg_stream.engines.tensorrt_engine import NotBuiltError, TensorRtEngine
from seg_stream.export import engine_export
from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.pipeline.types import FloatImage

pytest.importorskip("onnx", reason="needs the export extra (onnx)")
pytest.importorskip("skimage", reason="needs scikit-image for its photographs")
real = pytest.importorskip("tensorrt_rtx", reason="needs the rtx extra (tensorrt-rtx)")

NAME = "tensorrt-rtx"


class Builds:
    """Counts the real builds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        build = engine_export.build

        def counted(*arguments: object, **options: object) -> object:
            self.count += 1
            return build(*arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(engine_export, "build", counted)


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> Builds:
    return Builds(monkeypatch)


@pytest.fixture
def runtime(
    brightness_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StandInRuntime]:
    with OnnxRuntimeEngine(brightness_model) as model:
        runtime = StandInRuntime(real, model)
        monkeypatch.setitem(sys.modules, "tensorrt", None)
        monkeypatch.setitem(sys.modules, "tensorrt_rtx", runtime.module())
        for user in ("tensorrt_engine", "select"):
            monkeypatch.setattr(f"seg_stream.engines.{user}.require_library", lambda _: None)
        monkeypatch.setattr("seg_stream.engines.tensorrt_engine.Gpu", StandInGpu)
        monkeypatch.setenv("SEG_STREAM_CACHE", str(tmp_path / "cache"))
        StandInGpu.opened.clear()
        yield runtime


def noise(engine: TensorRtEngine | SwitchingEngine | OnnxRuntimeEngine) -> FloatImage:
    values = np.random.default_rng(2).uniform(0, 255, engine.input.shape)
    return values.astype(np.float32)


def test_an_engine_is_built_once_and_runs(
    runtime: StandInRuntime, builds: Builds, brightness_model: Path
) -> None:
    for _ in range(2):
        with TensorRtEngine(NAME, brightness_model, index=2) as engine:
            assert engine.name.startswith("TensorRT-RTX 1.")
            assert engine.name.endswith("FP16 (NVIDIA Stand-in)")
            assert engine.info.name == "brightness"
            mask = engine.infer(noise(engine))
            np.testing.assert_array_equal(mask, runtime.model.infer(noise(engine)))
    assert builds.count == 1
    assert len(set(runtime.loaded)) == 1
    assert runtime.deserialized == [b"compiled for this GPU"], "kept by the first start"
    assert [(gpu.index, gpu.closed) for gpu in StandInGpu.opened] == [(2, True)] * 2


@pytest.mark.parametrize(
    "call",
    [
        "runtime", "engine", "configuration", "runtime cache", "use of the cache", "context",
        "address", "run",
    ],
)  # fmt: skip
def test_each_call_that_fails_is_seen_and_the_gpu_given_back(
    runtime: StandInRuntime, brightness_model: Path, call: str
) -> None:
    runtime.refuse = {call}
    with pytest.raises(SegStreamError, match="tensorrt-rtx could not"):
        TensorRtEngine(NAME, brightness_model)
    assert [gpu.closed for gpu in StandInGpu.opened] == [True]


def test_a_failure_later_names_the_engine(runtime: StandInRuntime, brightness_model: Path) -> None:
    with TensorRtEngine(NAME, brightness_model) as engine:
        runtime.refuse = {"run"}
        with pytest.raises(SegStreamError, match="failed on a frame") as caught:
            engine.infer(noise(engine))
        assert str(caught.value).startswith(engine.name)
    engine.close()
    with pytest.raises(SegStreamError, match="closed"):
        engine.infer(noise(engine))


def test_an_engine_that_does_not_load_any_more_is_built_again(
    runtime: StandInRuntime, builds: Builds, brightness_model: Path
) -> None:
    TensorRtEngine(NAME, brightness_model).close()
    runtime.refuse, runtime.loaded[:] = {"old"}, []
    TensorRtEngine(NAME, brightness_model).close()
    assert (builds.count, len(runtime.loaded)) == (2, 2)


def test_where_nothing_is_to_be_built_it_says_so(
    runtime: StandInRuntime, builds: Builds, brightness_model: Path
) -> None:
    with pytest.raises(NotBuiltError):
        TensorRtEngine(NAME, brightness_model, build=False)
    TensorRtEngine(NAME, brightness_model).close()
    TensorRtEngine(NAME, brightness_model, build=False).close()
    runtime.refuse, runtime.loaded[:] = {"old"}, []
    with pytest.raises(NotBuiltError):
        TensorRtEngine(NAME, brightness_model, build=False)
    assert builds.count == 1
    assert all(gpu.closed for gpu in StandInGpu.opened)


@pytest.mark.usefixtures("runtime")
def test_a_stream_begins_on_onnx_runtime_and_changes_over(
    builds: Builds, brightness_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seg_stream.engines.select.has_driver", lambda: True)
    with open_engine("auto", brightness_model) as engine:
        assert isinstance(engine, SwitchingEngine)
        assert engine.name.startswith("ONNX Runtime")
        assert "not tensorrt: The package tensorrt is not installed" in engine.notes[0]
        masks = [engine.infer(noise(engine))]
        engine.wait()
        masks.append(engine.infer(noise(engine)))
        assert engine.name.startswith("TensorRT-RTX")
    np.testing.assert_array_equal(masks[0], masks[1])
    assert any("took over" in note for note in engine.notes)
    with open_engine("auto", brightness_model) as engine:
        assert isinstance(engine, TensorRtEngine), "the second start finds it built"
    assert builds.count == 1
    assert all(gpu.closed for gpu in StandInGpu.opened)


def test_a_stream_that_ends_at_once_leaves_the_engine_to_the_next(
    runtime: StandInRuntime, builds: Builds, brightness_model: Path
) -> None:
    with open_engine("auto", brightness_model) as engine:
        assert isinstance(engine, SwitchingEngine)
        assert "the next start goes on with it" in engine.notes[-1]
    assert not runtime.loaded, "nobody waits for it to start"
    with open_engine("auto", brightness_model) as engine:
        assert isinstance(engine, TensorRtEngine)
    assert builds.count == 1
    assert all(gpu.closed for gpu in StandInGpu.opened)


@pytest.mark.usefixtures("runtime")
def test_require_gpu_waits_for_the_build_and_says_so(
    builds: Builds, brightness_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        with open_engine(EngineChoice(require_gpu=True), brightness_model) as engine:
            assert isinstance(engine, TensorRtEngine)
    assert builds.count == 1
    (message,) = caplog.messages
    assert message.startswith("Building the engine of tensorrt-rtx for brightness, once")


def test_a_stream_goes_on_where_the_built_engine_fails(
    runtime: StandInRuntime, brightness_model: Path
) -> None:
    runtime.refuse = {"run"}
    with open_engine("auto", brightness_model) as engine:
        assert isinstance(engine, SwitchingEngine)
        engine.wait()
        assert engine.infer(noise(engine)).max() > 0.9
        assert engine.name.startswith("ONNX Runtime")
        assert "could not run the engine" in engine.notes[-1]


def test_an_engine_given_by_hand_is_loaded_with_a_warning(
    runtime: StandInRuntime, brightness_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "mine.engine"
    engine_export.export_engine(brightness_model, path, engine=NAME)
    report = read_report(path)
    assert report is not None
    with open_engine("auto", path) as engine:
        assert isinstance(engine, TensorRtEngine)
        assert "an engine is code" in engine.notes[0]
        assert engine.info == report.info
        np.testing.assert_array_equal(
            engine.infer(noise(engine)), runtime.model.infer(noise(engine))
        )
    assert runtime.loaded == [path.read_bytes()]
    assert not (tmp_path / "cache").exists()
    report_file = tmp_path / "mine.engine.json"
    report_file.write_text(report_file.read_text().replace('"tensorrt-rtx"', '"tensorrt"'))
    with pytest.raises(UserError, match="choose --engine tensorrt"):
        TensorRtEngine(NAME, path)
    report_file.unlink()
    with pytest.raises(UserError, match="does not say how it wants its input"):
        TensorRtEngine(NAME, path)
    path.with_suffix(".toml").write_text('name = "mine"')
    with TensorRtEngine(NAME, path) as engine:
        assert engine.info.name == "mine"


def test_an_engine_of_other_types_is_refused(
    runtime: StandInRuntime, brightness_model: Path
) -> None:
    runtime.dtype = real.float16
    with pytest.raises(UserError, match="expected float32"):
        TensorRtEngine(NAME, brightness_model)
