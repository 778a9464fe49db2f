"""Reading pairs: splits, suspects, and one clear sentence for everything that is wrong."""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from seg_stream.pipeline.errors import UserError
from seg_stream.training.pairs import load_folders, load_people, pair_folders
from tests.training.data import write_data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data") / "ccp"


def test_splits_and_suspects_are_honoured(folder: Path) -> None:
    assert [p.id for p in load_people(folder, "train").portraits] == ["p0", "p1"]
    assert [p.id for p in load_people(folder, "test").portraits] == ["p3"]
    with pytest.raises(UserError, match=r"gone\.jpg is missing"):
        load_people(folder, "train", suspects=True)


def test_without_an_index_the_names_decide_the_split(folder: Path) -> None:
    (folder / "index.csv").unlink()
    for i in range(60):
        for sub, end in (("images", "jpg"), ("masks", "png")):
            shutil.copy(folder / sub / f"p0.{end}", folder / sub / f"copy{i}.{end}")
    splits = {s: {p.id for p in load_people(folder, s).portraits} for s in ("train", "val", "test")}
    assert sum(len(names) for names in splits.values()) == 64
    assert not splits["train"] & splits["val"]
    assert len(splits["train"]) > 40
    assert splits["val"]
    assert splits["test"]


def test_several_folders_or_one_are_found(folder: Path, tmp_path: Path) -> None:
    assert list(pair_folders(folder.parent)) == ["ccp", "headshots"]
    assert list(pair_folders(folder)) == ["ccp"]
    with pytest.raises(UserError, match="has no pairs"):
        pair_folders(folder / "images")
    with pytest.raises(UserError, match="does not exist"):
        pair_folders(tmp_path / "nowhere")
    with pytest.raises(UserError, match="is a file; give the folder"):
        pair_folders(next((folder / "images").iterdir()))


def test_a_folder_named_like_its_parent_does_not_hide_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert list(pair_folders(Path())) == ["ccp"]
    monkeypatch.chdir(folder / "images")
    assert list(pair_folders(Path(".."))) == ["ccp"]
    shutil.copytree(folder.parent / "headshots", folder / "ccp")
    with pytest.raises(UserError, match="'ccp' in it; give one of them another name"):
        pair_folders(folder)


def test_a_corrupt_file_is_skipped_and_named(folder: Path) -> None:
    (folder / "images" / "p1.jpg").write_bytes(b"not a picture")
    people = load_people(folder, "train")
    assert [p.id for p in people.portraits] == ["p0"]
    assert len(people.skipped) == 1
    assert "p1.jpg cannot be decoded" in people.skipped[0]


def test_a_mask_that_shows_nobody_is_skipped_and_named(folder: Path) -> None:
    mask = cv2.imread(str(folder / "masks" / "p1.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(folder / "masks" / "p1.png"), np.zeros_like(mask))
    assert "p1.png shows nobody" in load_people(folder, "train").skipped[0]


def test_a_mask_of_zeros_and_ones_is_a_mask(folder: Path) -> None:
    before = load_people(folder, "train").portraits[0].alpha_hw
    mask = cv2.imread(str(folder / "masks" / "p0.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(folder / "masks" / "p0.png"), (mask > 0).astype(np.uint8))
    assert (load_people(folder, "train").portraits[0].alpha_hw == before).all()


def test_a_mask_of_sixteen_bits_is_a_mask(folder: Path) -> None:
    path = str(folder / "masks" / "p0.png")
    before = load_people(folder, "train").portraits[0].alpha_hw
    mask = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
    for white in (1, 65535):
        cv2.imwrite(path, (mask > 0).astype(np.uint16) * np.uint16(white))
        assert (load_people(folder, "train").portraits[0].alpha_hw == before).all()


def colour_mask(folder: Path) -> None:
    cv2.imwrite(str(folder / "masks" / "p0.png"), np.full((164, 110, 3), (0, 9, 255), np.uint8))


def smaller_mask(folder: Path) -> None:
    cv2.imwrite(str(folder / "masks" / "p0.png"), np.full((50, 40), 255, np.uint8))


def other_columns(folder: Path) -> None:
    (folder / "index.csv").write_text("name\np0\n")


def binary_index(folder: Path) -> None:
    (folder / "index.csv").write_bytes(b"\xff\xfe\x00\x81")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (colour_mask, r"p0\.png is in colour; a mask must be binary or grey"),
        (smaller_mask, r"p0\.png is 40x50, but its image is 110x164"),
        (
            lambda f: (f / "images" / "p0.jpg").unlink(),
            r"p0\.jpg is missing, but its mask",
        ),
        (lambda f: (f / "masks" / "p0.png").unlink(), r"p0\.png is missing, but the index names"),
        (lambda f: shutil.rmtree(f / "masks"), r"has no masks/ or alpha/"),
        (lambda f: (f / "index.csv").write_text("id,split\n"), "has no readable pair"),
        (other_columns, r"has no column 'split'"),
        (binary_index, "cannot be read"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, spoil: object, sentence: str) -> None:
    spoil(folder)  # type: ignore[operator]
    with pytest.raises(UserError, match=sentence):
        load_people(folder, "train")


def test_a_folder_without_pairs_of_the_split_does_not_hinder_the_others(folder: Path) -> None:
    headshots = folder.parent / "headshots" / "index.csv"
    headshots.write_text(headshots.read_text().replace("test", "train"))
    assert list(load_folders(folder.parent, "test")) == ["ccp"]
    assert list(load_folders(folder.parent, "val")) == ["ccp", "headshots"]
    (folder / "index.csv").write_text("id,split\n")
    with pytest.raises(UserError, match="no readable pair for the split 'test'"):
        load_folders(folder.parent, "test")


def test_what_is_still_being_written_is_no_folder_of_pairs(folder: Path) -> None:
    shutil.copytree(folder, folder.parent / ".ccp.part")
    assert list(pair_folders(folder.parent)) == ["ccp", "headshots"]


def test_pictures_that_opencv_refuses_are_skipped(folder: Path) -> None:
    huge = struct.pack(">IIBBBBB", 40000, 40000, 8, 2, 0, 0, 0)
    chunk = (
        struct.pack(">I", len(huge))
        + b"IHDR"
        + huge
        + struct.pack(">I", zlib.crc32(b"IHDR" + huge))
    )
    (folder / "images" / "p0.jpg").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)
    assert "p0.jpg cannot be decoded" in load_people(folder, "train").skipped[0]
    (folder / "images" / "p0.jpg").write_bytes(b"")
    assert "p0.jpg cannot be decoded" in load_people(folder, "train").skipped[0]


def test_a_mask_of_a_single_pixel_shows_nobody(folder: Path) -> None:
    dot = np.zeros((164, 110), np.uint8)
    dot[80, 50] = 255
    cv2.imwrite(str(folder / "masks" / "p1.png"), dot)
    assert "p1.png shows nobody" in load_people(folder, "train").skipped[0]
