"""What every engine promises, asked of every engine there is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seg_stream.engines.contract import Engine
from seg_stream.engines.model_info import ModelInfo
from seg_stream.engines.models import DEFAULT
from seg_stream.engines.select import ENGINES, ON_GPU, TENSORRT, EngineChoice, open_engine
from seg_stream.pipeline.errors import SegStreamError, UserError

SIDE = 96


def open_or_skip(name: str, model: str | Path) -> Engine:
    """Open an engine; only the one that runs everywhere may not be missing."""
    try:
        return open_engine(EngineChoice(name, require_gpu=name in ON_GPU), model)
    except UserError as error:
        if name == "onnxruntime":
            raise
        pytest.skip(f"{name} does not work here: {error}")


@pytest.fixture(params=list(ENGINES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(name: str, brightness_model: Path) -> Iterator[Engine]:
    with open_or_skip(name, brightness_model) as engine:
        yield engine


def pixels(engine: Engine, seed: int = 0) -> np.ndarray:
    """Random pixels, 0..255, of the engine's input."""
    values = np.random.default_rng(seed).uniform(0, 255, engine.input.shape)
    return values.astype(np.float32)


def tolerance(name: str) -> float:
    """Pixels near 255 are rounded to an eighth in FP16, a 256th of the model's ramp either way."""
    return 5e-3 if name in TENSORRT else 2e-3


def expected_mask(tensor: np.ndarray, axis: int = 1) -> np.ndarray:
    """What the brightness model says, worked out by NumPy."""
    mean = tensor.astype(np.float64).mean(axis=axis)[0]
    return np.clip((mean - 120) / 16, 0, 1)


def test_the_engine_says_what_goes_in_and_what_comes_out(engine: Engine) -> None:
    assert engine.input.shape == (1, 3, SIDE, SIDE)
    assert (engine.input.height, engine.input.width, engine.input.channels) == (SIDE, SIDE, 3)
    assert (engine.input.dtype, engine.input.layout) == ("float32", "NCHW")
    assert (engine.output.height, engine.output.width) == (SIDE, SIDE)
    assert engine.info.name == "brightness"
    assert engine.name


def test_the_mask_is_the_models(name: str, engine: Engine) -> None:
    tensor = pixels(engine)
    mask = engine.infer(tensor)
    assert (mask.dtype, mask.shape) == (np.float32, (SIDE, SIDE))
    assert 0 <= mask.min() < 0.1 < 0.9 < mask.max() <= 1
    np.testing.assert_allclose(mask, expected_mask(tensor), atol=tolerance(name))


def test_a_mask_belongs_to_the_caller_and_is_never_written_again(engine: Engine) -> None:
    first = engine.infer(pixels(engine, 1))
    kept = first.copy()
    for seed in range(2, 8):
        engine.infer(pixels(engine, seed))
    np.testing.assert_array_equal(first, kept)


def test_the_input_is_only_read_and_only_during_the_call(engine: Engine) -> None:
    tensor = pixels(engine)
    before = tensor.copy()
    mask = engine.infer(tensor)
    np.testing.assert_array_equal(tensor, before)
    kept = mask.copy()
    tensor[:] = 0
    np.testing.assert_array_equal(mask, kept)
    assert engine.infer(tensor).max() == 0, "the new content of the same array was not read"


def test_the_same_input_gives_the_same_mask(engine: Engine) -> None:
    tensor = pixels(engine)
    first = engine.infer(tensor)
    engine.infer(pixels(engine, 5))
    np.testing.assert_array_equal(engine.infer(tensor), first)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t[0],
        lambda t: t[:, :, :-1],
        lambda t: t.transpose(0, 2, 3, 1),
        lambda t: np.repeat(t, 2, axis=0),
        lambda t: t.astype(np.float64),
        lambda t: t.astype(np.uint8),
        lambda t: t.astype(np.float16),
    ],
    ids=["no batch", "a row less", "channels last", "two pictures", "float64", "uint8", "float16"],
)
def test_another_shape_or_type_is_refused_by_what_was_got_and_expected(
    engine: Engine, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    wrong = np.ascontiguousarray(change(pixels(engine)))
    with pytest.raises(ValueError, match="expected") as caught:
        engine.infer(wrong)
    assert str(wrong.shape) in str(caught.value)
    assert str(wrong.dtype) in str(caught.value)
    assert str(engine.input.shape) in str(caught.value)
    engine.infer(pixels(engine))  # it still works


def test_closing_twice_is_allowed_and_inferring_after_it_is_not(
    name: str, brightness_model: Path
) -> None:
    engine = open_or_skip(name, brightness_model)
    tensor = pixels(engine)
    with engine as entered:
        assert entered is engine
        engine.infer(tensor)
    engine.close()
    with pytest.raises(SegStreamError, match="closed"):
        engine.infer(tensor)


def test_an_engine_can_be_used_from_another_thread_than_it_was_opened_in(engine: Engine) -> None:
    """The runner opens it in one thread and calls it from another."""
    tensor = pixels(engine)
    here = engine.infer(tensor)
    masks: list[np.ndarray] = []
    thread = threading.Thread(target=lambda: masks.append(engine.infer(tensor)))
    thread.start()
    thread.join(10)
    np.testing.assert_array_equal(masks[0], here)


def test_two_engines_do_not_disturb_each_other(name: str, brightness_model: Path) -> None:
    with open_or_skip(name, brightness_model) as one, open_or_skip(name, brightness_model) as two:
        tensor = pixels(one)
        mask = one.infer(tensor)
        two.infer(pixels(two, 9))
        two.close()
        np.testing.assert_array_equal(one.infer(tensor), mask)


@pytest.mark.parametrize("input_layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("output_layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channel", [0, 1, 2])
def test_layouts_and_the_persons_channel_are_taken_from_the_description(
    name: str,
    input_layout: str,
    output_layout: str,
    channel: int,
    write_model: Callable[..., Path],
    tmp_path: Path,
) -> None:
    info = ModelInfo.of(
        {
            "name": "several",
            "input_layout": input_layout,
            "output_layout": output_layout,
            "output_channel": channel,
        }
    )
    model = write_model(tmp_path / "model.onnx", info=info, channels=3)
    with open_or_skip(name, model) as engine:
        assert (engine.input.height, engine.input.width, engine.input.channels) == (SIDE, SIDE, 3)
        assert engine.output.channels == 3
        tensor = pixels(engine)
        mask = engine.infer(tensor)
    assert (mask.dtype, mask.shape) == (np.float32, (SIDE, SIDE))
    axis = 1 if input_layout == "NCHW" else 3
    np.testing.assert_allclose(
        mask, expected_mask(tensor, axis) / (channel + 1), atol=tolerance(name)
    )


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(height=st.integers(1, 40), width=st.integers(1, 40))
def test_any_input_size_will_do(
    name: str,
    height: int,
    width: int,
    write_model: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("size") / "model.onnx"
    model = write_model(path, shape=(1, 3, height, width))
    with open_or_skip(name, model) as engine:
        tensor = pixels(engine)
        mask = engine.infer(tensor)
    assert mask.shape == (height, width)
    np.testing.assert_allclose(mask, expected_mask(tensor), atol=tolerance(name))


def test_a_failure_inside_names_the_engine(
    name: str, write_failing_model: Callable[[Path], Path], tmp_path: Path
) -> None:
    if name in ON_GPU:
        pytest.skip("a GPU reads beyond the end of a tensor without a word")
    with open_or_skip(name, write_failing_model(tmp_path / "model.onnx")) as engine:
        engine.infer(np.zeros(engine.input.shape, np.float32))
        with pytest.raises(SegStreamError, match="failed on a frame") as caught:
            engine.infer(np.full(engine.input.shape, 255, np.float32))
        assert str(caught.value).startswith(engine.name)
        assert not isinstance(caught.value, UserError)


def test_auto_takes_an_engine_that_works(brightness_model: Path) -> None:
    with open_engine("auto", brightness_model) as engine:
        assert engine.infer(pixels(engine)).shape == (SIDE, SIDE)


def test_an_unknown_engine_is_answered_with_those_there_are(brightness_model: Path) -> None:
    with pytest.raises(UserError, match="'abacus' is not known") as caught:
        open_engine("abacus", brightness_model)
    for known in ("auto", *ENGINES):
        assert known in str(caught.value)


def test_the_default_model_sees_nobody_in_front_of_a_wall(name: str) -> None:
    """The shipped model in each engine: a probability for each pixel, low on plain grey."""
    with open_or_skip(name, DEFAULT) as engine:
        mask = engine.infer(np.full(engine.input.shape, 128, np.float32))
    assert engine.info.name == DEFAULT
    assert mask.shape == (engine.output.height, engine.output.width)
    assert mask.min() >= 0
    assert mask.max() <= 1
    assert mask.mean() < 0.5


@pytest.mark.parametrize("scale", [255.0, float("nan")])
def test_an_output_that_is_no_probability_is_refused(
    name: str, scale: float, write_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = write_model(tmp_path / "model.onnx", scale=scale)
    # What is no number does not pass the gate of an FP16 engine.
    expected = "expected a probability" if scale == 255 else "not a number|does not give"
    with pytest.raises(SegStreamError, match=expected), open_or_skip(name, model) as engine:
        engine.infer(np.full(engine.input.shape, 255, np.float32))
