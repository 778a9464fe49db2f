"""Two networks as one: what it computes, which go together, and the command that joins them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    import keras
else:
    pytest.importorskip("tensorflow", reason="needs the train extra (TensorFlow)")
    keras = pytest.importorskip("keras", reason="needs the train extra (Keras)")

from seg_stream.export.interface import keras_alpha, read_interface
from seg_stream.export.keras_to_onnx import keras_to_onnx
from seg_stream.export.parity import onnx_runtime
from seg_stream.training import joining
from seg_stream.training.networks.two_scale import (
    CELL,
    SHARE,
    STRIDE,
    context_sides,
    join,
)
from seg_stream.training.networks.unet_lite import unet_lite

SIDES = (64, 96)
NEAR = (32, 64)


def trained(sides: tuple[int, int], seed: int, width: int = 4) -> Any:
    """A network that says something; a new one says one half of everything."""
    keras.utils.set_random_seed(seed)
    model = unet_lite((*sides, 3), width)
    last = model.get_layer("logits")
    kernel, bias = last.get_weights()
    last.set_weights([1000 * kernel, bias + seed])
    return model


def logits(model: Any, pixels: np.ndarray) -> Any:
    inner = keras.Model(model.input, model.get_layer("logits").output)
    return np.asarray(inner(pixels[None]))[0, ..., 0]


def test_it_gives_what_the_two_give_between_them() -> None:
    """As OpenCV computes it: the detail, and half of what the context says otherwise of a cell."""
    detail, context = trained(SIDES, 1), trained(NEAR, 2)
    pixels = np.random.default_rng(3).uniform(0, 255, (*SIDES, 3)).astype(np.float32)
    own = logits(detail, pixels)
    other = logits(context, cv2.resize(pixels, NEAR[::-1]))
    apart = cv2.resize(other, SIDES[::-1]) - own
    cells = apart.reshape(SIDES[0] // CELL, CELL, SIDES[1] // CELL, CELL).mean(axis=(1, 3))
    assert np.abs(cells).max() > 0.01, "they differ"
    expected = own + SHARE * cv2.resize(cells, SIDES[::-1])
    found = np.asarray(join(detail, context, 4)(pixels[None]))[0, ..., 0]
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-expected)), atol=1e-4)


@given(st.integers(1, 40), st.integers(1, 40))
def test_the_context_is_smaller_and_fits(rows: int, columns: int) -> None:
    sides = (rows * STRIDE, columns * STRIDE)
    for side, near in zip(sides, context_sides(*sides), strict=True):
        assert near % STRIDE == 0
        assert STRIDE <= near <= max(STRIDE, side * 2 / 3)


def test_sizes_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ValueError, match="the second is for 96x64, expected 64x32"):
        join(trained(SIDES, 1), trained(SIDES, 2), 4)


@pytest.mark.parametrize("sides", [(160, 256), (96, 160), (224, 416)])
def test_sizes_of_any_ratio_are_exported(sides: tuple[int, int]) -> None:
    """96 rows times 5/3, in single precision, were 159 rows in ONNX."""
    model = join(trained(sides, 1), trained(context_sides(*sides), 2), 4)
    interface = read_interface(model)
    graph = keras_to_onnx(model, interface)
    pixels = np.random.default_rng(3).uniform(0, 255, (1, 3, *sides)).astype(np.float32)
    found = onnx_runtime(graph.SerializeToString())(pixels)
    np.testing.assert_allclose(found, keras_alpha(model, interface, pixels), atol=1e-4)


def test_another_body_is_refused() -> None:
    """Blocks that it lacks would have stayed as they begin."""
    shorter = unet_lite((*SIDES, 3), 4, repeats=(1, 1, 1, 1, 1, 1))
    with pytest.raises(ValueError, match="not both unet_lite; they differ from it in block"):
        join(shorter, trained(NEAR, 2), 4)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["joining", *map(str, arguments)])
    return joining.main()


def test_the_command_joins_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detail, context, out = (tmp_path / f"{name}.keras" for name in ("detail", "context", "out"))
    parts = trained(SIDES, 1), trained(NEAR, 2)
    for path, model in zip((detail, context), parts, strict=True):
        model.save(path)
    assert run(monkeypatch, out, detail, context) == 0
    pixels = np.random.default_rng(3).uniform(0, 255, (1, *SIDES, 3)).astype(np.float32)
    joined = keras.models.load_model(out, compile=False)
    np.testing.assert_allclose(joined(pixels), join(*parts, 4)(pixels), atol=1e-6)


def test_what_cannot_be_joined_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    detail, out = tmp_path / "detail.keras", tmp_path / "out.keras"
    trained(SIDES, 1).save(detail)
    text = tmp_path / "text.keras"
    text.write_text("no network")
    wider = tmp_path / "wider.keras"
    trained(NEAR, 1, width=6).save(wider)
    flat = tmp_path / "flat.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]).save(flat)
    pipe = tmp_path / "pipe.keras"
    os.mkfifo(pipe)
    for second, sentence in (
        (pipe, "pipe.keras is no file and cannot be joined; give a .keras file of unet_lite."),
        (tmp_path, "is no file and cannot be joined"),
        (detail, "The two cannot be joined: the second is for 96x64, expected 64x32."),
        (text, "text.keras cannot be joined ("),
        (wider, "The two cannot be joined: their widths are 4 and 6."),
        (
            flat,
            "flat.keras cannot be joined (it has other layers); give a .keras",
        ),
        (tmp_path / "none.keras", "none.keras cannot be joined ("),
    ):
        assert run(monkeypatch, out, detail, second) == 2
        said = capsys.readouterr().err
        assert sentence in said
        assert said.count("\n") == 1
        assert not out.exists()
    assert run(monkeypatch, tmp_path / "out.onnx", detail, detail) == 2
    assert "let it end in .keras" in capsys.readouterr().err
    assert run(monkeypatch, detail, detail, detail) == 2
    assert capsys.readouterr().err == f"joining: {detail} exists already; choose another name.\n"
    assert run(monkeypatch, tmp_path / f"{300 * 'a'}.keras", detail, detail) == 2
    assert "name too long" in capsys.readouterr().err


def test_no_other_file_is_touched_and_nothing_is_left_of_an_interrupted_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An input named OUT.part.keras was deleted, and Ctrl-C left a traceback and half a file."""
    detail, context, out = (tmp_path / f"{name}.keras" for name in ("out.part", "near", "out"))
    trained(SIDES, 1).save(detail)
    trained(NEAR, 2).save(context)
    whole = detail.read_bytes()

    def interrupted(_: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "save", interrupted)
        assert run(monkeypatch, out, detail, context) == 130
    assert capsys.readouterr().err == "joining: interrupted; nothing was written.\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["near.keras", "out.part.keras"]
    assert run(monkeypatch, out, detail, context) == 0
    assert detail.read_bytes() == whole
    assert sorted(tmp_path.iterdir()) == sorted([detail, context, out])
