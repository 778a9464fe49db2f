"""Pictures in, pictures out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from seg_stream.pipeline import Summary, UserError, convert
from seg_stream.pipeline.sources import open_file

GREEN = (0x40, 0xB1, 0x00)
PERSON = (150, 190, 240)

Convert = Callable[..., Summary]


@pytest.fixture
def convert_picture(brightness_model: Path) -> Convert:
    def run(input: Path, output: Path, **options: Any) -> Summary:
        return convert(input, output, background="#00b140", model=brightness_model, **options)

    return run


def read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path))
    assert image is not None
    return image


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff"])
def test_a_picture_without_loss_keeps_the_persons_bytes(
    suffix: str, photograph: Path, tmp_path: Path, convert_picture: Convert
) -> None:
    output = tmp_path / f"out{suffix}"
    summary = convert_picture(photograph, output)
    before, after = read(photograph), read(output)
    assert after.shape == before.shape
    np.testing.assert_array_equal(after[40:80, 60:100], before[40:80, 60:100])
    assert (after[:10] == GREEN).all()
    assert (summary.run.items, summary.notes) == (1, [])


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".webp"])
def test_a_picture_with_loss_is_near(
    suffix: str, photograph: Path, tmp_path: Path, convert_picture: Convert
) -> None:
    output = tmp_path / f"out{suffix}"
    convert_picture(photograph, output)
    after = read(output).astype(int)
    assert np.abs(after[50:70, 70:90] - PERSON).max() <= 6
    assert np.abs(after[:8, :8] - GREEN).max() <= 6


@pytest.mark.parametrize(
    "kind", ["grey", "alpha", "16 bit", "palette-like", "one pixel", "odd size"]
)
def test_unusual_pictures_are_read(kind: str, tmp_path: Path, convert_picture: Convert) -> None:
    image = np.full((41, 61, 3), 30, np.uint8)
    image[:, 20:40] = 220
    made: dict[str, np.ndarray] = {
        "grey": image[:, :, 0],
        "alpha": np.dstack([image, np.full((41, 61), 9, np.uint8)]),
        "16 bit": image.astype(np.uint16) * 257,
        "palette-like": image // 64 * 64,
        "one pixel": np.full((1, 1, 3), 30, np.uint8),
        "odd size": image[:, :59],
    }
    cv2.imwrite(str(tmp_path / "in.png"), made[kind])
    convert_picture(tmp_path / "in.png", tmp_path / "out.png")
    after = read(tmp_path / "out.png")
    assert after.shape[:2] == made[kind].shape[:2]
    assert (after[0, 0] == GREEN).all()


def test_a_picture_that_lies_on_its_side_comes_out_upright(
    tmp_path: Path, convert_picture: Convert
) -> None:
    """A phone's JPEG: the EXIF data says how to turn it; the output needs no such hint."""
    image = np.full((60, 90, 3), 220, np.uint8)
    image[:, 60:] = (90, 220, 250)  # its right end is what shall be at the bottom
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    exif = bytes.fromhex(  # one entry: orientation (0x0112) is 6, turn clockwise
        "ffe1002245786966000049492a0008000000010012010300010000000600000000000000"
    )
    (tmp_path / "in.jpg").write_bytes(encoded[:2] + exif + encoded[2:])
    convert_picture(tmp_path / "in.jpg", tmp_path / "out.png")
    after = read(tmp_path / "out.png").astype(int)
    assert after.shape == (90, 60, 3)
    assert np.abs(after[:50] - 220).max() <= 5
    assert np.abs(after[70:] - (90, 220, 250)).max() <= 5


def test_a_folder_becomes_a_folder_of_the_same_names_and_sizes(
    tmp_path: Path, convert_picture: Convert
) -> None:
    (tmp_path / "in").mkdir()
    sizes = {"b.png": (40, 60), "a.jpg": (60, 40), "C.bmp": (33, 21), "größer.webp": (200, 300)}
    for name, size in sizes.items():
        image = np.full((*size, 3), 30, np.uint8)
        image[size[0] // 3 :] = 220
        written, data = cv2.imencode(Path(name).suffix, image)
        assert written
        (tmp_path / "in" / name).write_bytes(data.tobytes())
    (tmp_path / "in" / "text.txt").touch()
    (tmp_path / "in" / "sub.png").mkdir()
    summary = convert_picture(tmp_path / "in", tmp_path / "out")
    assert summary.run.items == 4
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(sizes)
    for name, size in sizes.items():
        after = cv2.imdecode(np.fromfile(tmp_path / "out" / name, np.uint8), cv2.IMREAD_COLOR)
        assert after is not None
        assert after.shape == (*size, 3)
        assert np.abs(after[0, 0].astype(int) - GREEN).max() <= 6
        assert np.abs(after[-1, -1].astype(int) - 220).max() <= 6
    assert [note for note in summary.notes if "sub.png" not in note] == []


def test_a_corrupt_picture_in_a_folder_is_left_out_and_said(
    tmp_path: Path, photograph: Path, convert_picture: Convert
) -> None:
    (tmp_path / "in").mkdir()
    data = photograph.read_bytes()
    for name, content in {"a": data, "b": b"", "c": b"text", "d": data[:50], "e": data}.items():
        (tmp_path / "in" / f"{name}.png").write_bytes(content)
    summary = convert_picture(tmp_path / "in", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "e.png"]
    np.testing.assert_array_equal(read(tmp_path / "out/a.png"), read(tmp_path / "out/e.png"))
    assert len(summary.notes) == 3
    for name, note in zip("bcd", summary.notes, strict=True):
        assert f"{name}.png" in note
        assert "left out" in note


def test_pictures_of_a_folder_do_not_influence_each_other(
    tmp_path: Path, photograph: Path, convert_picture: Convert
) -> None:
    """The matte is steadied over the frames of a video, never from photo to photo."""
    (tmp_path / "in").mkdir()
    image = read(photograph)
    for index in range(5):
        cv2.imwrite(str(tmp_path / "in" / f"{index}.png"), np.roll(image, index, axis=1))
    convert_picture(tmp_path / "in", tmp_path / "out")
    for index in range(5):
        convert_picture(tmp_path / "in" / f"{index}.png", tmp_path / "alone.png", overwrite=True)
        np.testing.assert_array_equal(
            read(tmp_path / "out" / f"{index}.png"), read(tmp_path / "alone.png")
        )


def test_existing_pictures_of_a_folder_are_only_replaced_if_asked(
    tmp_path: Path, photograph: Path, convert_picture: Convert
) -> None:
    for folder in ("in", "out"):
        (tmp_path / folder).mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "in" / name).write_bytes(photograph.read_bytes())
    (tmp_path / "out" / "b.png").write_bytes(b"old")
    with pytest.raises(UserError, match=r"b\.png exists already"):
        convert_picture(tmp_path / "in", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]
    assert (tmp_path / "out" / "b.png").read_bytes() == b"old"
    convert_picture(tmp_path / "in", tmp_path / "out", overwrite=True)
    assert read(tmp_path / "out" / "b.png").shape == (120, 160, 3)


def test_the_size_of_a_single_picture_is_known_before_it_is_read(photograph: Path) -> None:
    with open_file(photograph) as source:
        assert (source.width, source.height, source.frames) == (160, 120, 1)
