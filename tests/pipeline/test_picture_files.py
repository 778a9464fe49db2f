"""What pictures' files hold beside 8 bits of sRGB: said, honoured, or refused before decoding."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from seg_stream.pipeline import UserError, convert
from seg_stream.pipeline.sources.images import ImageSource, read_image
from seg_stream.pipeline.sources.picture_header import PictureHeader, read_header

PIL = pytest.importorskip("PIL.Image", reason="needs Pillow to write odd pictures")
SUFFIXES = (".png", ".jpg", ".webp", ".bmp", ".tif")


def picture(path: Path, mode: str = "RGB", size: tuple[int, int] = (60, 40), **how: object) -> Path:
    image = PIL.new("RGB", size, (220, 200, 180)).convert(mode)
    if mode == "RGBA":
        image.putalpha(100)
    image.save(path, **how)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("size", [(60, 40), (1, 1), (333, 7), (640, 480)])
def test_the_size_stands_in_the_header(suffix: str, size: tuple[int, int], tmp_path: Path) -> None:
    data = picture(tmp_path / f"in{suffix}", size=size).read_bytes()
    assert read_header(data) == PictureHeader(*size)


def test_variants_of_the_formats(tmp_path: Path) -> None:
    variants: dict[str, dict[str, object]] = {
        "a.webp": {"lossless": True}, "b.jpg": {"progressive": True}, "c.tif": {"big_tiff": True},
        "d.tif": {"compression": "tiff_lzw"}, "e.png": {"interlace": 1},
    }  # fmt: skip
    for name, how in variants.items():
        data = picture(tmp_path / name, **how).read_bytes()
        assert read_header(data) == PictureHeader(60, 40), name
    for name in ("f.webp", "g.png", "h.tif"):
        header = read_header(picture(tmp_path / name, "RGBA").read_bytes())
        assert header == PictureHeader(60, 40, alpha=True), name


def test_torn_and_foreign_files_have_no_header(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        data = picture(tmp_path / f"in{suffix}").read_bytes()
        for length in range(0, min(len(data), 60), 3):
            header = read_header(data[:length])
            assert header in (None, PictureHeader(60, 40)), (suffix, length)
    assert read_header(b"GIF89a" + bytes(50)) is None
    assert read_header(b"\xff\xd8" + b"\xff\xe0\x00\x00" * 20) is None


def png_bomb(width: int, height: int) -> bytes:
    """A whole PNG of zeros in a few kilobytes for the header's claim of any size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    packer = zlib.compressobj(9)
    row = bytes(width // 8 + 1)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(png_bomb(30000, 30000))
    assert bomb.stat().st_size < 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="is 30000x30000, expected at most 250 megapixels"):
            read_image(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000
    with pytest.raises(UserError, match="30000x30000"):
        convert(bomb, tmp_path / "out.png")


def test_a_bomb_in_a_folder_is_left_out(tmp_path: Path, brightness_model: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bomb.png").write_bytes(png_bomb(30000, 30000))
    picture(tmp_path / "in" / "good.png")
    summary = convert(tmp_path / "in", tmp_path / "out", model=brightness_model)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.png"]
    assert "30000x30000" in summary.notes[0]


def notes(path: Path) -> list[str]:
    with ImageSource(path) as source:
        frames = list(source)
        assert frames
        return source.notes


def test_what_is_dropped_is_said(tmp_path: Path) -> None:
    assert notes(picture(tmp_path / "plain.png")) == []
    (transparency,) = notes(picture(tmp_path / "clear.png", "RGBA"))
    assert "clear.png: the transparency was dropped." in transparency
    cv2.imwrite(str(tmp_path / "opaque.png"), np.full((20, 30, 4), 255, np.uint8))
    assert notes(tmp_path / "opaque.png") == []
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((20, 30, 3), 40000, np.uint16))
    (depth,) = notes(tmp_path / "deep.png")
    assert "16 bits a channel became 8" in depth
    cv2.imwrite(str(tmp_path / "deep.tif"), np.full((20, 30, 3), 40000, np.uint16))
    assert "16 bits" in notes(tmp_path / "deep.tif")[0]
    profile = b"\0" * 128 + "Display P3".encode("utf-16-be")
    for name in ("p3.png", "p3.jpg", "p3.webp", "p3.tif"):
        (colours,) = notes(picture(tmp_path / name, icc_profile=profile))
        assert f"{name}: the colour profile was dropped" in colours
    standard = b"\0" * 128 + b"sRGB IEC61966-2.1"
    for name in ("srgb.png", "srgb.jpg", "srgb.webp", "srgb.tif"):
        assert notes(picture(tmp_path / name, icc_profile=standard)) == []


def test_a_folder_says_each_thing_once(tmp_path: Path) -> None:
    for index in range(4):
        picture(tmp_path / f"{index}.png", "RGBA" if index else "RGB")
    (note,) = notes(tmp_path)
    assert "1.png and 2 more: the transparency was dropped." in note


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_every_exif_orientation_comes_upright(suffix: str, turn: int, tmp_path: Path) -> None:
    from PIL import ImageOps

    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20, :30], pixels[:20, 30:], pixels[20:, :30] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    image, path = PIL.fromarray(pixels), tmp_path / f"in{suffix}"
    exif = PIL.Exif()
    exif[0x112] = turn
    if suffix == ".tif":
        image.save(path, tiffinfo={274: turn})
    else:
        image.save(path, exif=exif, quality=100)
    with PIL.open(path) as opened:
        upright = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"), int)
    got = read_image(path)[:, :, ::-1].astype(int)
    assert got.shape == upright.shape
    assert np.abs(got - upright).mean() < 6
