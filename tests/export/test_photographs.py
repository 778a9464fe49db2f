"""Photographs are read as the models take them, and what is missing is named."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from seg_stream.export.photographs import read_photographs
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.types import FloatImage


def test_those_of_scikit_image_are_real_pictures(photographs: list[FloatImage]) -> None:
    assert len(photographs) == 4
    for photograph in photographs:
        assert photograph.shape == (1, 3, 64, 64)
        assert photograph.dtype == np.float32
        assert photograph.min() >= 0
        assert 128 < photograph.max() <= 255
        assert photograph.std() > 20


def test_a_folder_gives_rgb_of_the_asked_size(tmp_path: Path) -> None:
    orange_bgr = np.full((50, 80, 3), (10, 120, 250), np.uint8)
    cv2.imwrite(str(tmp_path / "a.PNG"), orange_bgr)
    (tmp_path / "notes.txt").write_text("no picture")
    (photograph,) = read_photographs(tmp_path, 16, 32)
    assert photograph.shape == (1, 3, 16, 32)
    np.testing.assert_array_equal(photograph[0, :, 3, 3], [250, 120, 10])


def test_at_most_eight_are_read(tmp_path: Path) -> None:
    for number in range(10):
        picture = np.full((8, 8, 3), number, np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    assert [int(p.max()) for p in read_photographs(tmp_path, 8, 8)] == list(range(8))


def test_missing_empty_and_broken_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent does not exist"):
        read_photographs(tmp_path / "absent", 8, 8)
    with pytest.raises(UserError, match=r"has no \.jpg or \.png"):
        read_photographs(tmp_path, 8, 8)
    (tmp_path / "broken.jpg").write_bytes(b"no JPEG")
    with pytest.raises(UserError, match=r"broken\.jpg cannot be read"):
        read_photographs(tmp_path, 8, 8)
