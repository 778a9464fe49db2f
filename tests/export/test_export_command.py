"""`seg-export` from outside: the file, its metadata, its exit codes."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from seg_stream.engines.model_info import METADATA_KEY, ModelInfo
from seg_stream.export.command import app, parse_size
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.sinks.part_file import write_whole

if TYPE_CHECKING:
    import keras

WITHOUT_EXTRAS = """
import importlib, pkgutil, sys
for name in ("tensorflow", "keras", "tf2onnx", "onnx", "skimage"):
    sys.modules[name] = None
import seg_stream.export as package
for module in pkgutil.iter_modules(package.__path__):
    importlib.import_module(f"seg_stream.export.{module.name}")
import seg_stream.training.networks.unet
from seg_stream.export.command import main
sys.argv = ["seg-export", *sys.argv[1:]]
main()
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def slim_file(slim_model: keras.Model, tmp_path: Path) -> Path:
    pytest.importorskip("skimage", reason="needs scikit-image for its photographs")
    path = tmp_path / "slim.keras"
    slim_model.save(path)
    return path


def test_a_model_is_written_with_its_metadata_and_a_report(slim_file: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs the export extra (onnx)")
    output = slim_file.with_suffix(".onnx")
    result = run(slim_file, "-o", output, "--trained-on", "noise", "--licence", "MIT")
    assert result.exit_code == 0, result.output
    assert "Resize:1" in result.output
    assert "64x64, RGB 0..255" in result.output
    graph = onnx.load(output)
    onnx.checker.check_model(graph, full_check=True)
    (metadata,) = graph.metadata_props
    assert metadata.key == METADATA_KEY
    assert ModelInfo.from_json(metadata.value) == ModelInfo(
        name="slim", version=version("seg-stream"), trained_on="noise", licence="MIT"
    )
    assert sorted(path.name for path in output.parent.iterdir()) == ["slim.keras", "slim.onnx"]


def test_a_model_that_fails_the_gate_is_not_written(slim_file: Path) -> None:
    import keras

    model = keras.models.load_model(slim_file)
    head = next(x for x in model.layers[::-1] if isinstance(x, keras.layers.Conv2DTranspose))
    head.set_weights([np.full_like(weights, np.nan) for weights in head.get_weights()])
    broken = slim_file.with_name("broken.keras")
    model.save(broken)
    output = slim_file.with_suffix(".onnx")
    output.write_bytes(b"the one from before")
    result = run(broken, "-o", output)
    assert result.exit_code == 1
    assert result.stderr == "seg-export: The model gives NaN or infinity on real photographs.\n"
    assert output.read_bytes() == b"the one from before"
    names = {path.name for path in output.parent.iterdir()}
    assert names == {"slim.keras", "broken.keras", "slim.onnx"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.keras", "-o", "m.onnx"], "absent.keras does not exist"),
        (["absent.keras", "-o", "m.bin"], "must end in .onnx"),
        (["absent.keras", "-o", "absent/m.onnx"], "absent does not exist"),
        (["absent.keras", "-o", "folder.onnx"], "is a folder"),
        (["absent.keras", "-o", "m.onnx", "--size", "wide"], "--size wide is not a size"),
    ],
)
def test_a_users_error_is_one_sentence_and_exit_2(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.onnx").mkdir()
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("seg-export: ")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_no_photographs_are_asked_for(slim_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    result = run(slim_file, "-o", slim_file.with_suffix(".onnx"))
    assert result.exit_code == 2
    assert "--images" in result.stderr


def test_without_the_extra_all_imports_and_the_command_says_what_to_install(
    tmp_path: Path,
) -> None:
    import zipfile

    model = tmp_path / "m.keras"
    with zipfile.ZipFile(model, "w") as archive:
        archive.writestr("config.json", "{}")
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS, model, "-o", tmp_path / "m.onnx"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 2, result.stderr
    assert "pip install 'seg-stream[export]'" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("text", "size"), [("256", (256, 256)), ("256x144", (144, 256)), ("1x2", (2, 1))]
)
def test_sizes_are_read_as_width_by_height(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "256x", "x256", "-1", "256X256", "1.5", "1x2x3"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="is not a size"):
        parse_size(text)


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        write_whole(tmp_path / "m.onnx", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
