"""Models whose masks are known, and a picture to go with them."""

from __future__ import annotations

import faulthandler
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import cv2
import numpy as np
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
        scale: float = 1.0,
    ) -> Path:
        """Alpha is 0 below a mean of 120, 1 above 136; with more channels, channel i
        has 1 / (i + 1) of it."""
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
            helper.make_node("Mul", ["stacked", "steps"], ["alpha"]),
        ]
        constants = {"low": 120.0, "width": 16.0, "zero": 0.0, "one": 1.0}
        steps_shape = [1, 1, 1, 1]
        steps_shape[axis] = channels
        initial = [helper.make_tensor(n, TensorProto.FLOAT, [], [v]) for n, v in constants.items()]
        initial.append(helper.make_tensor("axes", TensorProto.INT64, [1], [colour]))
        initial.append(
            helper.make_tensor(
                "steps", TensorProto.FLOAT, steps_shape, [scale / (i + 1) for i in range(channels)]
            )
        )
        graph = helper.make_graph(
            nodes,
            "brightness",
            [helper.make_tensor_value_info("pixels", input_type, shape)],
            [helper.make_tensor_value_info("alpha", TensorProto.FLOAT, None)],
            initial,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        if describe:
            helper.set_model_props(model, {METADATA_KEY: info.to_json()})
        onnx.save(onnx.shape_inference.infer_shapes(model), path)
        return path

    return write


def _turn(colour: int, axis: int) -> list[int]:
    if colour == axis:
        return [0, 1, 2, 3]
    return [0, 2, 3, 1] if axis == 3 else [0, 3, 1, 2]


@pytest.fixture(scope="session")
def brightness_model(
    write_model: BrightnessModel, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The brightness model with its description inside, as seg-export writes one."""
    return write_model(tmp_path_factory.mktemp("model") / "brightness.onnx")


@pytest.fixture(scope="session")
def write_failing_model() -> Callable[[Path], Path]:
    """Write a model that fails at run time once a picture's first pixel is bright."""
    onnx = pytest.importorskip("onnx", reason="needs the export extra (onnx) to write a model")
    from onnx import TensorProto, helper

    def write(path: Path) -> Path:
        nodes = [
            helper.make_node("ReduceMax", ["pixels"], ["brightest"], keepdims=0),
            helper.make_node("Div", ["brightest", "limit"], ["share"]),
            helper.make_node("Cast", ["share"], ["index"], to=TensorProto.INT64),
            helper.make_node("Gather", ["ones", "index"], ["one"]),
            helper.make_node("ReduceMean", ["pixels", "axes"], ["mean"], keepdims=1),
            helper.make_node("Mul", ["mean", "one"], ["scaled"]),
            helper.make_node("Clip", ["scaled", "zero", "one"], ["alpha"]),
        ]
        initial = [
            helper.make_tensor("limit", TensorProto.FLOAT, [], [150.0]),
            helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
            helper.make_tensor("ones", TensorProto.FLOAT, [1], [1.0]),
            helper.make_tensor("axes", TensorProto.INT64, [1], [1]),
        ]
        shape = (1, 3, SIDE, SIDE)
        graph = helper.make_graph(
            nodes,
            "failing",
            [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("alpha", TensorProto.FLOAT, (1, 1, SIDE, SIDE))],
            initial,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        helper.set_model_props(model, {METADATA_KEY: ModelInfo(name="failing").to_json()})
        onnx.save(model, path)
        return path

    return write


@pytest.fixture(scope="session")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bright disc, the person, in a dark room: 160x120, in a PNG file."""
    image = np.full((120, 160, 3), (60, 40, 30), np.uint8)
    cv2.circle(image, (80, 60), 35, (150, 190, 240), cv2.FILLED)
    path = tmp_path_factory.mktemp("photograph") / "photograph.png"
    cv2.imwrite(str(path), image)
    return path


@pytest.fixture
def no_thread_outlives_its_run() -> Iterator[None]:
    before = set(threading.enumerate())
    faulthandler.dump_traceback_later(60, exit=True)  # threads that hang can only be killed
    yield
    faulthandler.cancel_dump_traceback_later()
    assert set(threading.enumerate()) <= before


@pytest.fixture(autouse=True)
def no_thread_keeps_the_process_alive() -> Iterator[None]:
    """A forgotten thread would keep the run from ending, and nobody would know whose it was."""
    before = set(threading.enumerate())
    yield
    until_s = monotonic() + 20
    while left := [
        each for each in threading.enumerate() if each not in before and not each.daemon
    ]:
        if monotonic() > until_s:
            faulthandler.dump_traceback(all_threads=True)
            pytest.fail(f"still running: {', '.join(each.name for each in left)}")
        sleep(0.02)


def pytest_unconfigure() -> None:
    """What hangs while Python ends is named and ended."""
    faulthandler.dump_traceback_later(120, exit=True)
