"""The CUDA engine's way through ONNX Runtime's I/O binding, on the CPU's memory; and its refusals.

Memory, binding and runs are real, on the CPU provider instead of CUDA's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from stand_ins import StandInGpu

from seg_stream.engines import onnxruntime_cuda
from seg_stream.engines.cuda import Stream
from seg_stream.engines.onnxruntime_cpu import OnnxRuntimeEngine
from seg_stream.engines.onnxruntime_cuda import OnnxRuntimeCudaEngine
from seg_stream.pipeline.errors import SegStreamError


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [onnxruntime_cuda.CUDA_PROVIDER, "CPUExecutionProvider"]
    monkeypatch.setattr(ort, "get_available_providers", lambda: names)
    monkeypatch.setattr(onnxruntime_cuda, "Gpu", StandInGpu)
    StandInGpu.opened.clear()


def open_on_cpu(model: Path, index: int, stream: Stream) -> ort.InferenceSession:
    assert (index, stream.handle) == (0, 77)
    return ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])


def test_tensors_are_bound_to_the_engines_memory(
    brightness_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime_cuda, "open_session", open_on_cpu)
    monkeypatch.setattr(onnxruntime_cuda, "DEVICE", "cpu")
    rng = np.random.default_rng(3)
    with (
        OnnxRuntimeCudaEngine(brightness_model) as engine,
        OnnxRuntimeEngine(brightness_model) as reference,
    ):
        assert "CUDA" in engine.name
        for _ in range(3):
            tensor = rng.uniform(0, 255, engine.input.shape).astype(np.float32)
            np.testing.assert_allclose(engine.infer(tensor), reference.infer(tensor), atol=1e-6)
            kept = engine.infer(tensor)
            engine.infer(np.zeros_like(tensor))
            np.testing.assert_array_equal(kept, engine.infer(tensor))
    assert [gpu.closed for gpu in StandInGpu.opened] == [True]
    engine.close()
    with pytest.raises(SegStreamError, match="closed"):
        engine.infer(tensor)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_does_not_start_is_an_error_and_the_gpu_is_given_back(
    brightness_model: Path,
) -> None:
    """This ONNX Runtime has no CUDA in it, as one whose CUDA is missing would not either."""
    with pytest.raises(SegStreamError, match="CUDA provider"):
        OnnxRuntimeCudaEngine(brightness_model)
    assert [gpu.closed for gpu in StandInGpu.opened] == [True]
