"""A model whose mask is known, and the command line as a user starts it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from seg_stream.engines.model_info import METADATA_KEY, ModelInfo

settings.register_profile("calm", deadline=None)  # the machine may be busy
settings.load_profile("calm")

SIDE = 96
"""Width and height of the brightness model's input."""

BrightnessModel = Callable[..., Path]


@pytest.fixture(scope="session")
def write_model() -> BrightnessModel:
    """Write a model that says "person" where a pixel is bright: a stand-in with a known mask."""
    onnx = pytest.importorskip("onnx", reason="needs the export extra (onnx) to write a model")
    from onnx import TensorProto, helper

    def write(
        path: Path,
        *,
        info: ModelInfo | None = None,
        describe: bool = True,
        shape: tuple[Any, ...] | None = None,
        input_type: int = TensorProto.FLOAT,
        channels: int = 1,
    ) -> Path:
        """Alpha is 0 below a mean of 120, 1 above 136; with more channels, channel i adds i."""
        info = info or ModelInfo(name="brightness")
        colour = 1 if info.input_layout == "NCHW" else 3
        if shape is None:
            shape = (1, 3, SIDE, SIDE) if colour == 1 else (1, SIDE, SIDE, 3)
        axis = 1 if info.output_layout == "NCHW" else 3
        nodes = [
            helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=1),
            helper.make_node("Sub", ["mean", "low"], ["above"]),
            helper.make_node("Div", ["above", "width"], ["ramp"]),
            helper.make_node("Clip", ["ramp", "zero", "one"], ["mask"]),
            helper.make_node("Transpose", ["mask"], ["turned"], perm=_turn(colour, axis)),
            helper.make_node("Concat", ["turned"] * channels, ["stacked"], axis=axis),
            helper.make_node("Add", ["stacked", "steps"], ["alpha"]),
        ]
        constants = {"low": 120.0, "width": 16.0, "zero": 0.0, "one": 1.0}
        steps_shape = [1, 1, 1, 1]
        steps_shape[axis] = channels
        initial = [helper.make_tensor(n, TensorProto.FLOAT, [], [v]) for n, v in constants.items()]
        initial.append(helper.make_tensor("axes", TensorProto.INT64, [1], [colour]))
        initial.append(
            helper.make_tensor("steps", TensorProto.FLOAT, steps_shape, list(range(channels)))
        )
        graph = helper.make_graph(
            nodes,
            "brightness",
            [helper.make_tensor_value_info("pixels", input_type, shape)],
            [helper.make_tensor_value_info("alpha", TensorProto.FLOAT, None)],
            initial,
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
        )
        if describe:
            helper.set_model_props(model, {METADATA_KEY: info.model_dump_json()})
        onnx.save(onnx.shape_inference.infer_shapes(model), path)
        return path

    return write


def _turn(colour: int, axis: int) -> list[int]:
    if colour == axis:
        return [0, 1, 2, 3]
    return [0, 2, 3, 1] if axis == 3 else [0, 3, 1, 2]


@pytest.fixture(scope="session")
def brightness_model(write_model: BrightnessModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The brightness model with its description inside, as seg-export writes one."""
    return write_model(tmp_path_factory.mktemp("model") / "brightness.onnx")


Finished = subprocess.CompletedProcess[str]


def seg_stream(
    *arguments: str | Path, cwd: Path, before: Callable[[], None] | None = None
) -> Finished:
    """Run the command to its end, in a folder."""
    return subprocess.run(
        command_line(*arguments),
        cwd=cwd,
        preexec_fn=before,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def command_line(*arguments: str | Path) -> list[str]:
    """The words that start the command with this Python."""
    return [sys.executable, "-m", "seg_stream.pipeline.command", *map(str, arguments)]
