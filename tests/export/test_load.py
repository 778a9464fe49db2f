"""What is not a model that can be exported is refused in one sentence."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from seg_stream.export.load import load_keras
from seg_stream.pipeline.errors import UserError

if TYPE_CHECKING:
    import keras
    from keras import layers
else:
    pytest.importorskip("tensorflow", reason="needs the export extra (TensorFlow)")
    keras = pytest.importorskip("keras", reason="needs the export extra (Keras)")
    layers = keras.layers


def saved(path: Path, *body: keras.Layer) -> Path:
    keras.Sequential([keras.Input((8, 8, 3)), *body]).save(path)
    return path


def test_a_model_comes_back_with_one_input_and_one_output(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.keras", layers.Conv2D(1, 1, activation="sigmoid"))
    model = load_keras(path)
    assert model.input_shape == (None, 8, 8, 3)
    assert model.output_shape == (None, 8, 8, 1)


def test_files_that_are_no_models_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.keras does not exist"):
        load_keras(tmp_path / "absent.keras")
    (tmp_path / "text.keras").write_text("no zip")
    with pytest.raises(UserError, match=r"text\.keras is not a Keras 3 model"):
        load_keras(tmp_path / "text.keras")
    (tmp_path / "old.h5").write_bytes(b"\x89HDF")
    with pytest.raises(UserError, match=r"old\.h5 is not a Keras 3 model"):
        load_keras(tmp_path / "old.h5")
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("a", "b")
    with pytest.raises(UserError, match=r"other\.keras cannot be read"):
        load_keras(tmp_path / "other.keras")


@pytest.mark.parametrize(
    "config",
    [
        "[]",
        "null",
        '{"module": "keras", "class_name": "Sequential", "config": {"layers": [7]}}',
        '{"module": "keras", "class_name": "Sequential", "config": null, "build_config": 3}',
        '{"module": "os", "class_name": "system", "config": {}}',
    ],
)
def test_a_harmed_description_is_said_in_one_sentence(tmp_path: Path, config: str) -> None:
    whole, harmed = saved(tmp_path / "m.keras", layers.ReLU()), tmp_path / "harmed.keras"
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(harmed, "w") as target:
        for name in source.namelist():
            target.writestr(name, config if name == "config.json" else source.read(name))
    with pytest.raises(UserError, match=r"harmed\.keras"):
        load_keras(harmed)


def test_an_unknown_layer_is_named(tmp_path: Path) -> None:
    class Mystery(layers.Layer):  # type: ignore[misc]
        def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
            return x

    path = saved(tmp_path / "m.keras", Mystery())
    with pytest.raises(UserError, match="uses Mystery, which is not a Keras layer"):
        load_keras(path)


def test_code_in_the_file_is_not_run(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.keras", layers.Lambda(lambda x: x * 2))
    with pytest.raises(UserError, match="Lambda layer, whose code is not run"):
        load_keras(path)


def test_more_than_one_input_or_output_is_refused(tmp_path: Path) -> None:
    first, second = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    keras.Model([first, second], layers.Add()([first, second])).save(tmp_path / "two.keras")
    with pytest.raises(UserError, match="but 2 tensors go in and 1 come out"):
        load_keras(tmp_path / "two.keras")
    keras.Model(first, [layers.ReLU()(first), first]).save(tmp_path / "out.keras")
    with pytest.raises(UserError, match="but 1 tensors go in and 2 come out"):
        load_keras(tmp_path / "out.keras")
