"""Real builds by TensorRT-RTX, which needs no GPU for them, and what is inside the engines."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from plans import NHWC, read_plan

from seg_stream.engines.models import find_model
from seg_stream.engines.tensorrt_build import (
    BuildStopped,
    Library,
    build,
    open_builder_library,
    open_library,
)
from seg_stream.pipeline.errors import SegStreamError, UserError

SHIPPED = ["portrait-lite", "portrait"]


@pytest.fixture(scope="module")
def rtx() -> Library:
    pytest.importorskip("tensorrt_rtx", reason="needs the rtx extra (tensorrt-rtx)")
    return open_library("tensorrt-rtx")


@pytest.fixture(scope="module")
def fp16() -> bytes:
    """The default model, in FP16."""
    return fp16_of("portrait-lite")


def fp16_of(name: str, *, spread: bool = True) -> bytes:
    onnx = pytest.importorskip("onnx", reason="needs the export extra (onnx)")
    from seg_stream.export.fp16 import to_fp16
    from seg_stream.export.subpixel import spread_last

    model = onnx.load(find_model(name))
    if spread:
        spread_last(model)
    return to_fp16(model).SerializeToString()


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_builds_in_fp16_without_reformats_between_convolutions(
    rtx: Library, name: str
) -> None:
    onnx = pytest.importorskip("onnx", reason="needs the export extra (onnx)")
    plan = read_plan(build(rtx, fp16_of(name)).plan)
    graph = onnx.load(find_model(name)).graph
    wanted = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose")]
    assert len(plan.convolutions) == len(wanted)
    makers = {out: layer for layer in plan.layers for out in layer.outputs}
    for layer in plan.convolutions:
        for tensor in plan.activations([*layer.inputs, *layer.outputs]):
            assert (tensor.type, tensor.order) == ("half", NHWC), layer.name
        for name_in in layer.inputs:
            maker = makers.get(name_in)
            # What stands between two convolutions does work: scaling at the beginning,
            # upsampling with the skip connection's concatenation.
            if maker is not None and maker.kind == "function":
                assert "Conc" in maker.name, f"{maker.name} before {layer.name}"
    # And what comes after the last one does it in one go; of two scales, in four: the logits in
    # order, their difference, its mean over cells, and the rest.
    after = plan.layers[plan.layers.index(plan.convolutions[-1]) + 1 :]
    assert after[-1].kind == "function"
    assert len(after) <= (1 if name == "portrait-lite" else 4), [layer.name for layer in after]
    weights = [t for t in plan.tensors.values() if t.constant and len(t.dims) == 4]
    assert len(weights) >= len(wanted)
    assert {tensor.type for tensor in weights} == {"half"}


def test_a_pooling_needs_no_copy_of_a_skip_connection(rtx: Library) -> None:
    """But has one as it is in Keras; `test_engine_export` looks into the article's U-Net."""
    onnx = pytest.importorskip("onnx", reason="needs the export extra (onnx)")
    from seg_stream.export.fp16 import to_fp16
    from seg_stream.export.pooling import pool_in_place

    rng = np.random.default_rng(1)
    weights = {"a": (8, 3, 3, 3), "b": (8, 8, 3, 3), "c": (8, 16, 3, 3)}
    constants = [
        onnx.numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
        for name, shape in weights.items()
    ]
    constants.append(onnx.numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice"))
    node, pads = onnx.helper.make_node, [1, 1, 1, 1]
    nodes = [
        node("Conv", ["x", "a"], ["skip"], pads=pads),
        node("MaxPool", ["skip"], ["half"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["half", "b"], ["deep"], pads=pads),
        node(
            "Resize", ["deep", "", "twice"], ["wide"], mode="nearest", nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        ),
        node("Conv", ["wide", "b"], ["late"], pads=pads),
        node("Concat", ["skip", "late"], ["both"], axis=1),
        node("Conv", ["both", "c"], ["y"], pads=pads),
    ]  # fmt: skip
    value = onnx.helper.make_tensor_value_info
    ends = [value("x", 1, (1, 3, 32, 32))], [value("y", 1, (1, 8, 32, 32))]
    graph = onnx.helper.make_graph(nodes, "net", *ends, constants)
    between = {}
    for copies in (True, False):
        opsets = [onnx.helper.make_opsetid("", 17)]
        half = to_fp16(onnx.helper.make_model(graph, opset_imports=opsets))
        if not copies:
            pool_in_place(half)
        plan = build(rtx, half.SerializeToString()).plan
        between[copies] = [name for name in read_plan(plan).between if "Resi" not in name]
    assert len(between[True]) == 2
    assert between[True][0] == "__myl_Move"
    assert between[False] == ["__myl_NegSlicSlicSlicSlicMinMinMinNeg"]


def test_a_transposed_convolution_at_the_end_is_turned_and_sliced_afterwards(
    rtx: Library,
) -> None:
    """Which `spread_last` spares: eight channels of FP32 at the full size, written twice."""
    plan = read_plan(build(rtx, fp16_of("portrait-lite", spread=False)).plan)
    assert {"__myl_Tran", "__myl_Slic"} <= {layer.name for layer in plan.layers}


def test_in_fp32_the_same_inspection_finds_fp32(rtx: Library) -> None:
    """The check above can fail."""
    plan = read_plan(build(rtx, find_model("portrait-lite").read_bytes()).plan)
    kinds = {
        tensor.type
        for layer in plan.convolutions
        for tensor in plan.activations([*layer.inputs, *layer.outputs])
    }
    assert kinds == {"float"}


def test_the_build_says_how_far_it_is(rtx: Library, fp16: bytes) -> None:
    told: list[tuple[str, float]] = []
    build(rtx, fp16, progress=lambda phase, share: told.append((phase, share)))
    assert ("Building engine", 1.0) in told
    assert len({phase for phase, _ in told}) > 3
    assert all(0 <= share <= 1 for _, share in told)


def test_a_build_can_be_stopped(rtx: Library, fp16: bytes) -> None:
    stop = threading.Event()
    with pytest.raises(BuildStopped, match="stopped") as caught:
        build(rtx, fp16, progress=lambda *_: stop.set(), stop=stop)
    assert isinstance(caught.value.timing, bytes), "the library gives its timings also then"
    assert "build" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals on Windows")
def test_ctrl_c_ends_a_build(rtx: Library, fp16: bytes) -> None:
    main = threading.main_thread().ident
    assert main is not None
    sent: list[str] = []

    def interrupt(phase: str, _: float) -> None:
        if not sent:
            sent.append(phase)
            signal.pthread_kill(main, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        build(rtx, fp16, progress=interrupt)
    assert "build" not in {thread.name for thread in threading.enumerate()}
    build(rtx, fp16)  # the library is none the worse


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals on Windows")
@pytest.mark.parametrize("delay_s", [0.0, 0.3])
def test_ctrl_c_at_the_very_start_leaves_no_build(
    delay_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the other thread runs already, or does not yet."""
    main = threading.main_thread().ident
    assert main is not None
    begun, stop, ran = threading.Event(), threading.Event(), []
    start_thread = threading._start_new_thread  # type: ignore[attr-defined]

    def start_slowly(function: Callable[..., None], arguments: tuple[object, ...]) -> None:
        def late() -> None:
            if delay_s:
                signal.pthread_kill(main, signal.SIGINT)
                time.sleep(delay_s)
            function(*arguments)
            begun.set()

        start_thread(late, ())

    def work(_: object) -> None:
        signal.pthread_kill(main, signal.SIGINT)
        assert stop.wait(20)
        time.sleep(0.05)  # as a builder does not end at once
        ran.append(True)

    monkeypatch.setattr(threading, "_start_new_thread", start_slowly)
    with pytest.raises(KeyboardInterrupt):
        build(Library("none", None, None), b"", stop=stop, call=work)
    by_then = list(ran)
    assert begun.wait(20)
    assert ran == by_then, "it began or went on after the interrupt was handed on"


def test_a_model_that_the_library_does_not_take_is_named_as_such(rtx: Library) -> None:
    with pytest.raises(UserError, match=r"does not take the model \(.*parse"):
        build(rtx, b"no ONNX at all")


def test_an_absent_library_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(UserError, match=r"tensorrt is not installed.*pip install"):
        open_library("tensorrt")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ImportError('libnvinfer.so.11: cannot open')", "cannot be imported.*libnvinfer"),
        ("import no_such_part", "cannot be imported.*no_such_part"),
        ("raise RuntimeError('boom')", r"does not work \(boom\)"),
        ("__version__ = '11.0'", "does not work.*ILogger"),
    ],
    ids=["a library is missing", "a package is missing", "it raises", "it is something else"],
)
def test_a_broken_library_is_an_error_that_says_why(
    code: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tensorrt.py").write_text(code)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=words):
        open_library("tensorrt")
    sys.modules.pop("tensorrt", None)


def test_the_first_library_that_can_build_is_taken(
    rtx: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert open_builder_library().name == "tensorrt-rtx"
    refusing = ModuleType("tensorrt")
    for name in ("ILogger", "IProgressMonitor", "OnnxParser", "__version__"):
        setattr(refusing, name, getattr(rtx.trt, name))
    refusing.Builder = lambda _: None  # type: ignore[attr-defined]  # as without a GPU
    monkeypatch.setitem(sys.modules, "tensorrt", refusing)
    assert open_builder_library().name == "tensorrt-rtx"
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(UserError, match=r"could not start its builder.*tensorrt_rtx is not"):
        open_builder_library()


def test_every_return_is_checked(rtx: Library) -> None:
    for nothing in (None, False):
        with pytest.raises(SegStreamError, match="tensorrt-rtx could not do it"):
            rtx.check(nothing, "do it")
    assert rtx.check(0, "count") == 0
