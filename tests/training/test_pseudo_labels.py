"""Photographs labelled with the shipped models."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from seg_stream.pipeline.sample import read_portrait, view
from seg_stream.training import pseudo_labels
from seg_stream.training.pairs import load_people


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """The astronaut, an empty wall, and a file that is no picture."""
    folder = tmp_path / "photos"
    folder.mkdir()
    cv2.imwrite(str(folder / "astronaut.png"), view(read_portrait(), 0.0))
    cv2.imwrite(str(folder / "wall.jpg"), np.full((120, 160, 3), 200, np.uint8))
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


def command(*arguments: object) -> int:
    return pseudo_labels.main([str(each) for each in arguments])


def test_it_writes_a_folder_of_pairs_in_which_doubts_are_suspect(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pairs"
    assert command(photos, out, "--teacher", "portrait-lite") == 0
    assert "1 of 3 photographs are labelled" in capsys.readouterr().out
    with (out / "index.csv").open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"astronaut", "wall"}
    assert (rows["astronaut"]["suspect"], rows["wall"]["suspect"]) == ("0", "1")
    assert float(rows["astronaut"]["agreement"]) > 0.9
    assert (out / "sheet.png").is_file()
    (person,) = load_people(out, "train").portraits
    face, wall = person.alpha_hw[110:150, 250:320], person.alpha_hw[60:160, 420:480]
    assert face.min() > 230
    assert wall.max() < 25


def test_accord_is_asked_for(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "pairs"
    assert command(photos, out, "--teacher", "portrait-lite", "--least", 0.9999) == 0
    assert not (out / "sheet.png").exists()
    assert "astronaut,train,1" in (out / "index.csv").read_text()


def test_mistakes_are_named(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = ("--teacher", "portrait-lite")
    for arguments, sentence in [
        ((tmp_path / "none", tmp_path / "out", *teacher), "has no .jpg or .png in it"),
        ((photos, photos, *teacher), "is there already"),
        ((photos, tmp_path / "out", *teacher, "--least", 2), "expected a number from 0 to 1"),
        ((photos, tmp_path / "out", "--teacher", "nobody"), "nobody"),
    ]:
        assert command(*arguments) == 2
        assert sentence in capsys.readouterr().err
    (photos / "wall.png").write_bytes((photos / "astronaut.png").read_bytes())
    assert command(photos, tmp_path / "out", *teacher) == 2
    assert "several pictures named wall" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
