"""The shipped models are what was shipped; any other file is taken by its path."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from seg_stream.engines import models
from seg_stream.engines.model_info import ModelInfo, read_info
from seg_stream.engines.models import DEFAULT, find_model
from seg_stream.pipeline.errors import SegStreamError, UserError

INFO = ModelInfo(name="some", version="2", input_colour="BGR", input_mean=(1, 2, 3))


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of shipped models with one, called `small`."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "small.onnx").write_bytes(b"weights")
    checksums = {"small": hashlib.sha256(b"weights").hexdigest()}
    (folder / "checksums.json").write_text(json.dumps(checksums))
    monkeypatch.setattr(models, "FOLDER", folder)
    return folder


def test_a_shipped_model_is_found_by_its_name(shipped: Path) -> None:
    assert find_model("small") == shipped / "small.onnx"


@pytest.mark.parametrize("content", [b"", b"weight", b"weights\n", b"WEIGHTS"])
def test_a_shipped_model_of_other_bytes_is_refused(shipped: Path, content: bytes) -> None:
    (shipped / "small.onnx").write_bytes(content)
    with pytest.raises(SegStreamError, match=r"small\.onnx is damaged or missing") as caught:
        find_model("small")
    assert not isinstance(caught.value, UserError)


def test_a_shipped_model_that_is_gone_is_refused(shipped: Path) -> None:
    (shipped / "small.onnx").unlink()
    with pytest.raises(SegStreamError, match="damaged or missing"):
        find_model("small")


@pytest.mark.usefixtures("shipped")
def test_a_file_is_found_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    path.touch()
    assert find_model(path) == find_model(str(path)) == path


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("name", ["large", "none/mine.onnx", "small.onnx", ""])
def test_an_unknown_name_is_answered_with_those_there_are(name: str) -> None:
    with pytest.raises(UserError, match="small") as caught:
        find_model(name)
    assert name in str(caught.value)


def test_every_model_that_ships_is_whole_and_says_what_it_is() -> None:
    checksums = json.loads((models.FOLDER / "checksums.json").read_text())
    files = {path.stem for path in models.FOLDER.glob("*.onnx")}
    assert files == set(checksums)
    for name in checksums:
        assert find_model(name).is_file()


def test_the_default_model_ships() -> None:
    assert find_model(DEFAULT).is_file()


def test_the_description_inside_the_model_is_read(tmp_path: Path) -> None:
    metadata = {"seg_stream": INFO.to_json(), "other": "text"}
    assert read_info(tmp_path / "some.onnx", metadata) == INFO


def test_a_description_beside_the_model_goes_before_the_one_inside(tmp_path: Path) -> None:
    (tmp_path / "some.toml").write_text('name = "beside"\ninput_std = [2.0, 2.0, 2.0]\n')
    info = read_info(tmp_path / "some.onnx", {"seg_stream": INFO.to_json()})
    assert info == ModelInfo(name="beside", input_std=(2, 2, 2))


def test_a_model_without_a_description_says_how_to_give_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"some\.toml"):
        read_info(tmp_path / "some.onnx", {"other": "text"})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('name = "x"\nsize = 3', "size"),
        ('name = "x"\noutput_channel = -1', "output_channel"),
        ('name = "x"\ninput_mean = [1.0, 2.0]', "input_mean"),
        ('input_layout = "NCHW"', "name"),
        ('name = "x"\ninput_layout = "CHWN"', "input_layout"),
        (f'name = "x"\ninput_mean = [1{"0" * 400}, 0, 0]', "input_mean"),
        ('name = "x"\ninput_mean = [nan, 0, 0]', "input_mean"),
        ('name = "x"\ninput_std = [1, 0, 1]', "input_std"),
        ('name = "x"\noutput_channel = true', "output_channel"),
        ("name = ]", "line 1"),
        ("\udcff\udcfe", "decode"),
    ],
)
def test_a_malformed_description_is_named_with_its_fault(
    text: str, fault: str, tmp_path: Path
) -> None:
    (tmp_path / "some.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match="malformed") as caught:
        read_info(tmp_path / "some.onnx", {})
    assert "some.onnx" in str(caught.value)
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "no json", '{"name": 3}', '["name"]'])
def test_a_malformed_description_inside_the_model_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"some\.onnx is malformed"):
        read_info(tmp_path / "some.onnx", {"seg_stream": text})
