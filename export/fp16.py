"""Half precision as a step on the ONNX graph, for engines that compute in the graph's own types.

Inputs and outputs stay FP32. Each layer is computed in FP16 or, if it is prone to overflow or the
gate found it at fault, in FP32; a `Cast` stands only where the two meet.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from seg_stream.pipeline.errors import SegStreamError, UserError

if TYPE_CHECKING:
    import onnx

FP16_MAX = 65504.0
"""Largest finite number of FP16."""

OVERFLOW_PRONE = frozenset(
    {"Exp", "Log", "Pow", "Reciprocal", "Softmax", "LogSoftmax", "Softplus", "CumSum"}
    | {"InstanceNormalization", "LayerNormalization", "GroupNormalization", "LpNormalization"}
    | {"GlobalAveragePool", "ReduceMean", "ReduceSum", "ReduceSumSquare", "ReduceProd"}
    | {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp"}
)
"""Operators that sum over many values or grow quickly."""

TYPE_BLIND = frozenset({"Cast", "Shape", "Size", "IsNaN", "IsInf"})
"""Operators that take FP16 as well as FP32 and whose result does not take their input's type."""


def layer_name(node: onnx.NodeProto) -> str:
    """What a layer is called in reports: its name or, without one, its first output."""
    return node.name or node.output[0]


def to_fp16(model: onnx.ModelProto, keep: Collection[str] = ()) -> onnx.ModelProto:
    """Return the same graph in FP16 between FP32 inputs and outputs; the given one is not changed.

    Args:
        model: a graph in FP32, with an operator set for each domain that it uses.
        keep: names of layers that stay in FP32, as `layer_name` gives them.

    Raises:
        UserError: the graph has branches or loops, is in FP16 already, or its types are unknown.
        SegStreamError: the new graph came out wrong.
    """
    import onnx

    try:
        typed = onnx.shape_inference.infer_shapes(model)
    except onnx.shape_inference.InferenceError as error:
        raise UserError(f"The model is not valid ONNX ({error}); export it again.") from error
    step = _Conversion(typed)
    for node in typed.graph.node:
        step.add(node, wanted=node.op_type not in OVERFLOW_PRONE and layer_name(node) not in keep)
    graph = onnx.helper.make_graph(
        step.finish(),
        typed.graph.name,
        typed.graph.input,
        typed.graph.output,
        step.initializers(),
        doc_string=typed.graph.doc_string,
    )
    half = onnx.ModelProto()
    half.CopyFrom(typed)
    half.graph.CopyFrom(graph)
    try:
        half = onnx.shape_inference.infer_shapes(half, check_type=True, strict_mode=True)
        onnx.checker.check_model(half)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise SegStreamError(f"The FP16 graph is not valid ONNX ({error}).") from error
    return half


class _Conversion:
    """Takes the nodes in their order and gives them back with their types settled."""

    def __init__(self, model: onnx.ModelProto) -> None:
        import onnx

        self._float, self._half = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
        graph = model.graph
        self._opsets = {opset.domain: opset.version for opset in model.opset_import}
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._types = {name: tensor.data_type for name, tensor in self._constants.items()}
        for value in (*graph.input, *graph.value_info, *graph.output):
            self._types[value.name] = value.type.tensor_type.elem_type
        if self._half in self._types.values():
            raise UserError("The model is in FP16 already; give the one in FP32.")
        self._outputs = {value.name for value in graph.output}
        self._nodes: list[onnx.NodeProto] = []
        self._in_half: set[str] = set()
        self._renamed: dict[str, str] = {}
        self._as: dict[tuple[str, int], str] = {}

    def add(self, node: onnx.NodeProto, *, wanted: bool) -> None:
        """Take the next node; `wanted` in FP16, if its operator has that and its weights fit."""
        import onnx

        if any(a.type in (a.GRAPH, a.GRAPHS) for a in node.attribute):
            raise UserError(f"The model has a branch or loop ({layer_name(node)}); unroll it.")
        if missing := [name for name in (*node.input, *node.output) if not self._known(name)]:
            raise UserError(f"The type of {missing[0]} in the model is not known; export it again.")
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        if node.op_type == "Constant":
            (attribute,) = node.attribute
            if attribute.name != "value":
                raise UserError(f"The constant {layer_name(node)} is no tensor; export it again.")
            self._constants[node.output[0]] = attribute.t
            return
        half_slots = self._half_slots(node) if wanted else None
        for slot, name in enumerate(node.input):
            if self._types.get(name) != self._float or node.op_type in TYPE_BLIND:
                copy.input[slot] = self._renamed.get(name, name)
            else:
                kind = self._half if half_slots and slot in half_slots else self._float
                copy.input[slot] = self._cast(name, kind)
        if half_slots is not None:
            for slot, name in enumerate(node.output):
                if self._types.get(name) == self._float:
                    self._in_half.add(name)
                    if name in self._outputs:
                        copy.output[slot] = self._renamed[name] = f"{name}_fp16"
        self._nodes.append(copy)

    def finish(self) -> list[onnx.NodeProto]:
        """The nodes, with outputs cast back to FP32."""
        import onnx

        for name, half in self._renamed.items():
            self._nodes.append(
                onnx.helper.make_node("Cast", [half], [name], f"{name}_to_fp32", to=self._float)
            )
        return self._nodes

    def initializers(self) -> list[onnx.TensorProto]:
        """The weights that the nodes use, each in the types it is used in."""
        used = {name for node in self._nodes for name in node.input}
        return [tensor for name, tensor in self._constants.items() if name in used]

    def _known(self, name: str) -> bool:
        return not name or self._types.get(name, 0) != 0 or name in self._constants

    def _half_slots(self, node: onnx.NodeProto) -> set[int] | None:
        """The inputs that take FP16 in this node, or None where it has to stay in FP32."""
        import onnx

        outputs = [name for name in node.output if self._types.get(name) == self._float]
        version = self._opsets.get(node.domain)
        if node.op_type == "Cast" or not outputs or version is None:
            return None
        if not onnx.defs.has(node.op_type, node.domain):
            return None
        schema = onnx.defs.get_schema(node.op_type, version, node.domain)
        last_in, last_out = len(schema.inputs) - 1, len(schema.outputs) - 1
        for slot, name in enumerate(node.output):
            types = schema.outputs[min(slot, last_out)].types
            if name in outputs and "tensor(float16)" not in types:
                return None
        slots = {
            slot
            for slot, name in enumerate(node.input)
            if self._types.get(name) == self._float
            and "tensor(float16)" in schema.inputs[min(slot, last_in)].types
        }
        fits = all(self._fits(node.input[slot]) for slot in slots)
        return slots if slots and fits else None

    def _fits(self, name: str) -> bool:
        import onnx

        tensor = self._constants.get(name)
        if tensor is None or tensor.data_type != self._float:
            return True
        values = onnx.numpy_helper.to_array(tensor)
        return values.size == 0 or float(np.abs(values).max()) <= FP16_MAX

    def _cast(self, name: str, kind: int) -> str:
        """The name under which a FP32 value of the old graph is there in the type `kind`."""
        import onnx

        have = self._half if name in self._in_half else self._float
        if kind == have:
            return self._renamed.get(name, name)
        if (name, kind) in self._as:
            return self._as[name, kind]
        tensor = self._constants.get(name)
        made = f"{name}_{'fp16' if kind == self._half else 'fp32'}"
        if tensor is not None:
            values = onnx.numpy_helper.to_array(tensor).astype(np.float16)
            self._constants[made] = onnx.numpy_helper.from_array(values, made)
        elif name in self._renamed:  # an output of the graph, which another layer reads too
            made = f"{name}_again_fp32"
            source = self._renamed[name]
            self._nodes.append(onnx.helper.make_node("Cast", [source], [made], made, to=kind))
        else:
            self._nodes.append(onnx.helper.make_node("Cast", [name], [made], made, to=kind))
        self._as[name, kind] = made
        return made
