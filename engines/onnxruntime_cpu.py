"""ONNX Runtime on the CPU: the engine that runs everywhere."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnxruntime as ort

from seg_stream.engines.contract import Engine, Layout, TensorSpec, check_mask
from seg_stream.engines.model_info import read_info
from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.pipeline.types import FloatImage


class OnnxRuntimeEngine(Engine):
    """Runs an ONNX model on the CPU.

    Raises:
        UserError: the file is not an ONNX model, does not describe itself, or has
            other shapes than one picture in and one map out.
    """

    def __init__(
        self, model: Path, *, threads: int | None = None, descriptions: Path | None = None
    ) -> None:
        self._session: ort.InferenceSession | None = _open(model, threads)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or not outputs:
            raise UserError(
                f"{model} has {len(inputs)} inputs and {len(outputs)} outputs; "
                "expected a portrait model with one input; choose another --model."
            )
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.info = read_info(model, metadata, descriptions)
        self.input = _spec(model, inputs[0], self.info.input_layout, "pixels", channels=3)
        self.output = _spec(model, outputs[0], self.info.output_layout, "probability 0..1")
        skew = (self.output.width * self.input.height) / (self.output.height * self.input.width)
        if not 0.9 < skew < 1.1:
            raise UserError(
                f"{model}: the output is {self.output.width}x{self.output.height} for an input of "
                f"{self.input.width}x{self.input.height}; correct output_layout in its description."
            )
        if self.info.output_channel >= self.output.channels:
            raise UserError(
                f"{model} has {self.output.channels} output channels, but its description names "
                f"channel {self.info.output_channel}; correct the description."
            )
        self.name = f"ONNX Runtime {ort.__version__} (CPU)"

    def infer(self, tensor: FloatImage) -> FloatImage:
        """See `Engine.infer`."""
        if tensor.shape != self.input.shape or tensor.dtype != np.float32:
            raise ValueError(
                f"got {tensor.dtype} {tensor.shape}, expected float32 {self.input.shape}"
            )
        if self._session is None:
            raise SegStreamError("The engine is closed; open a new one.")
        try:
            (result,) = self._session.run([self.output.name], {self.input.name: tensor})
        except Exception as error:  # ONNX Runtime's errors have no common base class
            raise SegStreamError(f"{self.name} failed on a frame: {error}.") from error
        channel = self.info.output_channel
        first: FloatImage = np.asarray(result, np.float32)[0]
        return check_mask(first[channel] if self.output.layout == "NCHW" else first[..., channel])

    def close(self) -> None:
        """See `Engine.close`."""
        self._session = None


def available_cores() -> int:
    """Cores this process may use, which can be fewer than the machine has."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS or Windows
        return os.cpu_count() or 1


def _open(model: Path, threads: int | None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads or available_cores()
    options.inter_op_num_threads = 1
    # Spinning workers would take the cores from decoding, blending and encoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common base class
        raise UserError(
            f"{model} cannot be loaded as an ONNX model ({_first_line(error)}); "
            "give a model written by seg-export."
        ) from error


def _spec(
    model: Path, tensor: ort.NodeArg, layout: Layout, meaning: str, channels: int | None = None
) -> TensorSpec:
    shape = tensor.shape
    fixed = len(shape) == 4 and all(isinstance(side, int) and side > 0 for side in shape)
    spec = TensorSpec(tensor.name, tuple(shape), "float32", layout, meaning) if fixed else None
    if (
        spec is None
        or tensor.type != "tensor(float)"
        or spec.shape[0] != 1
        or (channels is not None and spec.channels != channels)
    ):
        want = f"(1, 3, H, W) in {layout}" if channels else f"(1, channels, H, W) in {layout}"
        raise UserError(
            f"{model}: '{tensor.name}' is {tensor.type} {shape}; expected float32 of fixed shape "
            f"{want}; export the model with seg-export."
        )
    return spec


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]
