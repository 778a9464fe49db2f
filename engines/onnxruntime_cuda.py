"""ONNX Runtime on an NVIDIA GPU, for machines where no TensorRT is installed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from seg_stream.engines.contract import TensorSpec
from seg_stream.engines.cuda import Gpu, Memory, Stream
from seg_stream.engines.device_engine import DeviceEngine
from seg_stream.engines.installed import CUDA_PROVIDER, require_cuda_provider
from seg_stream.engines.onnxruntime_cpu import OnnxRuntimeEngine
from seg_stream.pipeline.errors import SegStreamError

DEVICE = "cuda"


class OnnxRuntimeCudaEngine(DeviceEngine):
    """Runs an ONNX model in FP32 (matrix products in TF32) by ONNX Runtime's CUDA provider.

    Inputs and outputs are bound to memory on the GPU, and every layer has to run there.

    Args:
        model: an ONNX file.
        index: which GPU, as `nvidia-smi` counts them.
        descriptions: folder of `NAME.toml` for models that do not describe themselves.

    Raises:
        UserError: this ONNX Runtime has no CUDA, or there is no GPU, or the model does not fit.
        SegStreamError: the provider refuses.
    """

    def __init__(
        self,
        model: Path,
        *,
        index: int = 0,
        descriptions: Path | None = None,
    ) -> None:
        require_cuda_provider()
        with OnnxRuntimeEngine(model, threads=1, descriptions=descriptions) as described:
            info, specs = described.info, (described.input, described.output)
        self._session: Any = None
        self._binding: Any = None
        gpu = Gpu(index)
        self.name = f"ONNX Runtime {ort.__version__} (CUDA, {gpu.name})"
        try:
            super().__init__(gpu, info, *specs)
            gpu.call(self._load, model)
            self.warm_up()
        except BaseException:
            with suppress(SegStreamError):
                gpu.call(self.unload)
            gpu.close()
            raise

    def unload(self) -> None:
        """See `DeviceEngine.unload`."""
        self._binding = None
        self._session = None

    def enqueue(self, stream: Stream) -> None:
        """See `DeviceEngine.enqueue`; the provider keeps to one stream of its own."""
        self._before.record(stream)
        self._provider_stream.wait_for(self._before)
        try:
            self._session.run_with_iobinding(self._binding, self._options)
        except Exception as error:  # ONNX Runtime's errors have no common base class
            raise SegStreamError(str(error).strip().splitlines()[0][:200]) from error
        self._after.record(self._provider_stream)
        stream.wait_for(self._after)

    def _load(self, model: Path) -> None:
        self._provider_stream = self.gpu.stream()
        self._before, self._after = self.gpu.event(), self.gpu.event()
        self._session = open_session(model, self.gpu.index, self._provider_stream)
        self._binding = self._session.io_binding()
        self._bind(self._binding.bind_input, self.input, self.input_memory)
        self._bind(self._binding.bind_output, self.output, self.output_memory)
        self._options = ort.RunOptions()
        self._options.add_run_config_entry("disable_synchronize_execution_providers", "1")

    def _bind(self, bind: Any, spec: TensorSpec, memory: Memory) -> None:
        bind(spec.name, DEVICE, self.gpu.index, np.float32, spec.shape, memory.address)


def open_session(model: Path, index: int, stream: Stream) -> ort.InferenceSession:
    """Load a model so that all of it runs on the GPU `index`, in order on a stream.

    Raises:
        SegStreamError: the CUDA provider does not start, or a layer would run on the CPU.
    """
    if hasattr(ort, "preload_dlls"):
        ort.preload_dlls()  # CUDA's libraries from their wheels
    settings = {
        "device_id": str(index),
        "user_compute_stream": str(stream.handle),
        "cudnn_conv_algo_search": "EXHAUSTIVE",
    }
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        session = ort.InferenceSession(str(model), options, providers=[(CUDA_PROVIDER, settings)])
    except Exception as error:  # ONNX Runtime's errors have no common base class
        reason = str(error).strip().splitlines()[0][:200].rstrip(".")
        raise SegStreamError(f"ONNX Runtime's CUDA provider refuses: {reason}.") from error
    if session.get_providers()[:1] != [CUDA_PROVIDER]:
        raise SegStreamError(
            "ONNX Runtime's CUDA provider did not start; CUDA 13 and cuDNN 9 have to be "
            "installed, say by pip install 'onnxruntime-gpu[cuda,cudnn]'."
        )
    return session
