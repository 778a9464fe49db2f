"""Runs an FP16 graph on the CPU as a GPU would: FP32 inside a layer, FP16 between layers.

ONNX Runtime's CPU provider has hardly a layer in FP16: it casts to FP32, and drops the two casts
between neighbours, so that a value that overflows on a GPU passes unharmed. Here each layer is run
by itself, and what comes out of it is rounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import onnx
    import onnxruntime

Tensor = npt.NDArray[Any]


class LayerwiseNetwork:
    """An ONNX graph in FP32, FP16 or both, whose layers are run one after the other.

    Args:
        model: a graph that passes `onnx.shape_inference`.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        import onnx

        typed = onnx.shape_inference.infer_shapes(model)
        graph = typed.graph
        self._input, self.output = graph.input[0].name, graph.output[0].name
        values = (*graph.input, *graph.value_info, *graph.output)
        self._types = {value.name: value.type.tensor_type.elem_type for value in values}
        self._weights = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
        self._layers = [(node, self._session(node, typed)) for node in graph.node]
        self._uses = Counter(name for node in graph.node for name in node.input)

    def __call__(self, tensor: Tensor) -> Tensor:
        """The graph's first output for its only input; numbers may be infinite or NaN."""
        result = np.zeros(0, np.float32)
        for name, value in self.trace(tensor):
            if name == self.output:
                result = value
        return result

    def trace(self, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield the name and the value of each layer's outputs, in order."""
        import onnx

        alive: dict[str, Tensor] = {self._input: tensor}
        uses = self._uses.copy()
        for node, session in self._layers:
            taken = {
                name: alive[name] if name in alive else self._weights[name]
                for name in node.input
                if name
            }
            if session is None:  # a Cast
                (to,) = (a.i for a in node.attribute if a.name == "to")
                results = [_cast(taken[node.input[0]], onnx.helper.tensor_dtype_to_np_dtype(to))]
            else:
                feeds = {put.name: _wide(taken[put.name]) for put in session.get_inputs()}
                results = session.run(None, feeds)
            for name in node.input:
                uses[name] -= 1
                if not uses[name]:
                    alive.pop(name, None)
            made = [name for name in node.output if name]
            for name, value in zip(made, results, strict=True):
                dtype = onnx.helper.tensor_dtype_to_np_dtype(self._types[name])
                value = _cast(value, dtype)
                if uses[name]:
                    alive[name] = value
                yield name, value

    def _session(
        self, node: onnx.NodeProto, model: onnx.ModelProto
    ) -> onnxruntime.InferenceSession | None:
        """A session of this layer alone, in FP32; None for a `Cast`."""
        import onnx
        import onnxruntime

        if node.op_type == "Cast":
            return None
        half, full = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
        puts, weights = [], []
        for name in dict.fromkeys(name for name in node.input if name):
            if name in self._weights:
                weights.append(onnx.numpy_helper.from_array(_wide(self._weights[name]), name))
            else:
                kind = full if self._types[name] == half else self._types[name]
                puts.append(onnx.helper.make_tensor_value_info(name, kind, None))
        gets = []
        for name in filter(None, node.output):
            kind = full if self._types[name] == half else self._types[name]
            gets.append(onnx.helper.make_tensor_value_info(name, kind, None))
        graph = onnx.helper.make_graph([node], "layer", puts, gets, weights)
        alone = onnx.helper.make_model(
            graph, opset_imports=model.opset_import, ir_version=model.ir_version
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(
            alone.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )


def _wide(value: Tensor) -> Tensor:
    return value.astype(np.float32) if value.dtype == np.float16 else value


def _cast(value: Tensor, dtype: npt.DTypeLike) -> Tensor:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(value).astype(dtype, copy=False)
