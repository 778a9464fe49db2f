"""Choices for the output: codecs, transparency, the matte, a part of the input, fewer masks."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from clips import (
    PERSON,
    PLACES,
    hopping,
    inner,
    packets,
    person_in_room,
    read_video,
    solid,
    write_video,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_stream.pipeline import Summary, UserError, convert
from seg_stream.pipeline.sinks.encoding import (
    CODECS,
    CONTAINERS,
    PRESETS,
    Encoding,
    choose_encoder,
    parse_bitrate,
)
from seg_stream.pipeline.sources.trim import Trim, parse_trim

Convert = Callable[..., Summary]


@pytest.fixture
def convert_clip(brightness_model: Path) -> Convert:
    def run(input: Path, output: Path, **options: Any) -> Summary:
        options.setdefault("background", "#000000")
        return convert(input, output, model=brightness_model, **options)

    return run


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    pictures = [person_in_room(width=128, height=96, x=48, y=32) for _ in range(12)]
    return write_video(tmp_path / "clip.mp4", pictures, sound=(Fraction(0), Fraction(1, 2)))


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(suffix, codec) for suffix, kinds in CONTAINERS.items() for codec in kinds],
)
def test_every_codec_writes_every_kind_of_file_that_holds_it(
    clip: Path, tmp_path: Path, convert_clip: Convert, suffix: str, codec: str
) -> None:
    output = tmp_path / f"out{suffix}"
    if suffix == ".webp":  # pictures that stay the same would be one
        write_video(clip, [hopping(i, width=128, height=96) for i in range(12)])
    encoding = Encoding(codec, preset="ultrafast" if CODECS[codec].speed_option else None)
    convert_clip(clip, output, encoding=encoding)
    if suffix == ".webp":  # FFmpeg writes animated WebP, but does not read it
        assert output.read_bytes()[8:12] == b"WEBP"
        assert b"ANMF" in output.read_bytes()
        return
    shown = read_video(output)
    assert len(shown) == 12
    assert (shown[0].picture.width, shown[0].picture.height) == (128, 96)
    with av.open(str(output)) as container:
        names = {"h265": "hevc"}
        assert container.streams.video[0].codec_context.name in (
            names.get(codec, codec), f"lib{codec}", "libdav1d"
        )  # fmt: skip


@pytest.mark.parametrize("codec", ["h265", "av1", "ffv1"])
def test_an_encoder_that_takes_no_such_size_is_named(
    tmp_path: Path, convert_clip: Convert, codec: str
) -> None:
    """It was "cannot be written to its end", as if the disk were full."""
    clip = write_video(tmp_path / "tiny.mkv", [solid("yuv420p", 2, 2, (90, 128, 128))] * 3)
    sentence = "does not take pictures of 2x2 with these settings .* choose another --codec"
    with pytest.raises(UserError, match=sentence):
        convert_clip(clip, tmp_path / "out.mkv", encoding=Encoding(codec))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.mkv"]


@pytest.mark.parametrize(
    ("encoding", "smaller"),
    [
        (Encoding(quality=10), Encoding(quality=45)),
        (Encoding(bitrate=2_000_000), Encoding(bitrate=50_000)),
    ],
)
def test_quality_and_bit_rate_change_the_size(
    tmp_path: Path, convert_clip: Convert, encoding: Encoding, smaller: Encoding
) -> None:
    rng = np.random.default_rng(0)
    pictures = []
    for i in range(30):
        planes = person_in_room(width=192, height=128, x=32 + 2 * (i % 16), y=48)
        planes[0][40:90, 20:120] = rng.integers(180, 240, (50, 100))
        pictures.append(planes)
    source = write_video(tmp_path / "noise.mp4", pictures)
    sizes = []
    for name, wanted in (("a.mp4", encoding), ("b.mp4", smaller)):
        convert_clip(source, tmp_path / name, encoding=wanted)
        sizes.append((tmp_path / name).stat().st_size)
    assert sizes[0] > 2 * sizes[1]


@pytest.mark.parametrize(
    ("name", "encoding", "transparent", "sentence"),
    [
        ("out.xyz", Encoding(), False, "the kind '.xyz' is not known"),
        ("out.mp4", Encoding(), True, "cannot be transparent; name a"),
        ("out.webm", Encoding("h264"), False, "A .webm file cannot hold h264"),
        ("out.mp4", Encoding("divx"), False, "The codec 'divx' is not known"),
        ("out.mkv", Encoding("h264"), True, "The codec h264 has no transparency"),
        ("out.mp4", Encoding(quality=52), False, "is 0 to 51, but 52 is given"),
        ("out.mp4", Encoding(quality=20, bitrate=10**6), False, "choose one of them"),
        ("out.mp4", Encoding(bitrate=5), False, "A bit rate of 5 is too low"),
        ("out.mp4", Encoding(preset="quick"), False, "The preset 'quick' is not known"),
        ("out.mov", Encoding("prores", quality=3), False, "prores has no quality"),
        ("out.mov", Encoding("prores", preset="fast"), False, "prores has no presets"),
        ("out.mov", Encoding("prores", bitrate=10**6), False, "prores has no bit rate"),
    ],
)
def test_what_does_not_go_together_is_said(
    name: str, encoding: Encoding, transparent: bool, sentence: str
) -> None:
    with pytest.raises(UserError) as caught:
        choose_encoder(Path(name), encoding, transparent=transparent)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("codec", ["vp9", "av1", "h264"])
def test_presets_become_each_encoders_own_speeds(codec: str, preset: str) -> None:
    suffix = ".mkv"
    chosen = choose_encoder(Path(f"out{suffix}"), Encoding(codec, preset=preset))
    value = chosen.options[CODECS[codec].speed_option or ""]
    assert value == preset if codec == "h264" else 0 <= int(value) <= 12


@pytest.mark.parametrize(
    ("text", "bits"), [("5M", 5_000_000), ("800k", 800_000), ("1.5m", 1_500_000), ("9000", 9000)]
)
def test_bit_rates_are_read(text: str, bits: int) -> None:
    assert parse_bitrate(text) == bits


@pytest.mark.parametrize("text", ["", "M", "fast", "5MB", "1e400", "nan"])
def test_other_bit_rates_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="is not a bit rate"):
        parse_bitrate(text)


TRANSPARENT = {".webm": "libvpx-vp9", ".mov": "prores", ".mkv": "ffv1"}


@pytest.mark.parametrize("suffix", TRANSPARENT)
def test_a_transparent_video_carries_alpha_and_the_persons_own_colour(
    clip: Path, tmp_path: Path, convert_clip: Convert, suffix: str
) -> None:
    output = tmp_path / f"out{suffix}"
    convert_clip(clip, output, background="transparent")
    with av.open(str(output)) as container:
        stream = container.streams.video[0]
        if suffix == ".webm":  # FFmpeg's own decoder ignores the alpha of VP9
            assert stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) == "1"
            decoder: Any = av.CodecContext.create("libvpx-vp9", "r")
            decoder.extradata = stream.codec_context.extradata
            frames = [f for packet in container.demux(stream) for f in decoder.decode(packet)]
        else:
            frames = list(container.decode(stream))
    assert len(frames) == 12
    rgba = frames[5].to_ndarray(format="rgba")
    person, room = rgba[38:58, 54:74], rgba[4:20, 4:30]
    assert person[..., 3].min() > 245
    assert room[..., 3].max() < 10
    plain = read_video(clip)[5].picture.to_ndarray(format="rgb24")[38:58, 54:74]
    assert np.abs(person[..., :3].astype(int) - plain).max() <= 10


def test_transparent_pictures(tmp_path: Path, convert_clip: Convert, clip: Path) -> None:
    source = tmp_path / "photo.png"
    cv2.imwrite(str(source), read_video(clip)[0].bgr())
    output = tmp_path / "out.png"
    convert_clip(source, output, background="transparent")
    bgra = cv2.imread(str(output), cv2.IMREAD_UNCHANGED)
    assert bgra is not None
    assert bgra.shape == (96, 128, 4)
    assert bgra[48, 64, 3] == 255
    assert bgra[5, 5, 3] == 0
    with pytest.raises(UserError, match=r"out\.jpg cannot be transparent"):
        convert_clip(source, tmp_path / "out.jpg", background="transparent")


def test_a_video_becomes_numbered_pictures(
    clip: Path, tmp_path: Path, convert_clip: Convert
) -> None:
    pattern = tmp_path / "cut" / "%04d.png"
    convert_clip(clip, pattern, background="transparent")
    names = sorted(path.name for path in pattern.parent.iterdir())
    assert names == [f"{i:04d}.png" for i in range(12)]
    with pytest.raises(UserError, match="exists already"):
        convert_clip(clip, pattern, background="transparent")
    convert_clip(clip, pattern, trim=Trim(end_s=Fraction(1, 5)), overwrite=True)
    assert len(list(pattern.parent.iterdir())) == 5
    (pattern.parent / "diary.txt").write_text("mine")
    with pytest.raises(UserError, match="is not replaced"):
        convert_clip(clip, pattern, overwrite=True)
    assert (pattern.parent / "diary.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_the_matte_is_written_beside(clip: Path, tmp_path: Path, convert_clip: Convert) -> None:
    output, matte = tmp_path / "out.mp4", tmp_path / "matte.mp4"
    convert_clip(clip, output, matte_output=matte)
    shown = read_video(matte)
    assert [s.time_s for s in shown] == [s.time_s for s in read_video(output)]
    grey = shown[6].picture.to_ndarray(format="gray")
    assert grey[38:58, 54:74].min() > 245
    assert grey[4:20, 4:30].max() < 10
    with av.open(str(matte)) as container:
        assert not container.streams.audio
    with pytest.raises(UserError, match="name two files"):
        convert_clip(clip, tmp_path / "a.mp4", matte_output=tmp_path / "a.mp4")


def test_if_the_matte_cannot_be_written_nothing_appears(
    clip: Path, tmp_path: Path, convert_clip: Convert
) -> None:
    with pytest.raises(UserError, match="does not exist"):
        convert_clip(clip, tmp_path / "out.mp4", matte_output=tmp_path / "no" / "matte.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("0:10-1:20", 10, 80),
        ("90-", 90, None),
        ("-1:00:00.5", 0, Fraction(7201, 2)),
        (" 1 - 2 ", 1, 2),
    ],
)
def test_trims_are_read(text: str, start: int, end: Fraction | None) -> None:
    assert parse_trim(text) == Trim(Fraction(start), end)


@pytest.mark.parametrize("text", ["", "-", "10", "a-b", "5-5", "9-3", "1:2:3:4-", "1e3-"])
def test_other_trims_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="trim"):
        parse_trim(text)


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of 25 frames, a key frame every ten, B frames, sound all along."""
    return write_video(
        tmp_path_factory.mktemp("long") / "long.mp4",
        [hopping(i) for i in range(100)],
        options={"preset": "veryfast", "bf": "2", "g": "10", "crf": "4"},
        sound=(Fraction(0), Fraction(4)),
    )


@settings(max_examples=12, deadline=None)
@given(start=st.integers(0, 98), length=st.integers(1, 60))
def test_a_trim_keeps_just_its_frames_and_their_sound(
    long_clip: Path,
    brightness_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
    start: int,
    length: int,
) -> None:
    output = tmp_path_factory.mktemp("trim") / "out.mp4"
    end = min(start + length, 100)
    trim = Trim(Fraction(start, 25), Fraction(end, 25))
    convert(long_clip, output, background="#000000", model=brightness_model, trim=trim)
    before, after = read_video(long_clip)[start:end], read_video(output)
    assert len(after) == end - start
    for i, (old, new) in enumerate(zip(before, after, strict=True)):
        assert abs(new.time_s - Fraction(i, 25)) < Fraction(1, 1000)
        place = PLACES[(start + i) * 5 % len(PLACES)]
        for mine, its in zip(
            inner(new.planes, *place, 32, 32, 10), inner(old.planes, *place, 32, 32, 10),
            strict=True,
        ):  # fmt: skip
            assert np.abs(mine.astype(int) - its).max() <= 12
    original = {data: time_s for time_s, data in packets(long_clip, "audio")}
    kept = packets(output, "audio")
    wanted = [t for t in original.values() if trim.start_s <= t < (trim.end_s or 0)]
    assert len(kept) == len(wanted)
    for time_s, data in kept:
        assert abs(time_s - (original[data] - trim.start_s)) < Fraction(1, 40)


def test_a_trim_past_the_end_is_said(clip: Path, tmp_path: Path, convert_clip: Convert) -> None:
    with pytest.raises(UserError, match="has no frame from 60 s on"):
        convert_clip(clip, tmp_path / "out.mp4", trim=Trim(Fraction(60)))
    assert not (tmp_path / "out.mp4").exists()


def test_a_mask_is_moved_along_between_the_frames_that_the_network_sees(
    tmp_path: Path, convert_clip: Convert
) -> None:
    rng = np.random.default_rng(2)
    texture = cv2.GaussianBlur(rng.integers(60, 110, (192, 400)).astype(np.uint8), (0, 0), 2)
    skin = cv2.GaussianBlur(rng.integers(150, 250, (80, 80)).astype(np.uint8), (0, 0), 2)
    pictures = []
    for i in range(24):
        planes = person_in_room(width=320, height=192, x=0, y=0)
        planes[0][:] = texture[:, :320]
        planes[0][60:140, 40 + 6 * i : 120 + 6 * i] = skin
        planes[1][:], planes[2][:] = PERSON[1:]
        pictures.append(planes)
    source = write_video(tmp_path / "walk.mp4", pictures)
    each, fourth = tmp_path / "each.mp4", tmp_path / "fourth.mp4"
    convert_clip(source, tmp_path / "a.mp4", matte_output=each)
    summary = convert_clip(source, tmp_path / "b.mp4", matte_output=fourth, every=4)
    assert summary.run.items == 24
    still = read_video(each)[8].picture.to_ndarray(format="gray")
    scores, naive = [], []
    for i, (one, other) in enumerate(zip(read_video(each), read_video(fourth), strict=True)):
        if i % 4:
            first, second = (s.picture.to_ndarray(format="gray") > 127 for s in (one, other))
            scores.append((first & second).sum() / (first | second).sum())
            old = read_video(each)[i - i % 4].picture.to_ndarray(format="gray") > 127
            naive.append((first & old).sum() / (first | old).sum())
    assert still.any()
    assert np.mean(scores) > 0.93
    assert np.mean(scores) > np.mean(naive) + 0.03


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".ts", {}),
        (".mkv", {}),
        (".avi", {"codec": "mpeg4", "options": {"q": "2", "g": "50"}}),
        (".mpg", {"codec": "mpeg2video", "options": {"q": "2", "g": "50"}}),
        (".264", {}),
    ],
)
def test_a_trim_is_right_in_formats_that_cannot_seek(
    tmp_path: Path, convert_clip: Convert, suffix: str, options: dict[str, Any]
) -> None:
    options = {"options": {"preset": "veryfast", "g": "50", "bf": "0", "crf": "4"}, **options}
    pictures = [hopping(i) for i in range(100)]
    source = write_video(tmp_path / f"long{suffix}", pictures, **options)
    output = tmp_path / "out.mp4"
    convert_clip(source, output, trim=Trim(Fraction(1), Fraction(3)))
    after = read_video(output)
    assert len(after) == 50
    x, y = PLACES[25 * 5 % len(PLACES)]
    assert inner(after[0].planes, x, y, 32, 32, 10)[0].min() > 180, "it begins with another frame"


@pytest.mark.parametrize("colour", [(1, 1, 1, 1), (6, 1, 6, 6)])
def test_webp_has_the_right_colours(
    tmp_path: Path, convert_clip: Convert, colour: tuple[int, int, int, int]
) -> None:
    pictures = [hopping(i, width=128, height=96) for i in range(3)]
    source = write_video(tmp_path / "clip.mp4", pictures, colour=colour)
    convert_clip(source, tmp_path / "out.webp", background="#ff0000", encoding=Encoding(quality=95))
    shown = cv2.imread(str(tmp_path / "out.webp"))
    assert shown is not None
    assert np.abs(shown[-12:-4, -12:-4].astype(int) - (0, 0, 255)).max() <= 6


def test_the_background_is_never_deleted_with_the_pictures(
    clip: Path, tmp_path: Path, convert_clip: Convert
) -> None:
    pattern = tmp_path / "cut" / "%d.png"
    convert_clip(clip, pattern)
    with pytest.raises(UserError, match="is the input itself or the background"):
        convert_clip(clip, pattern, background=str(tmp_path / "cut" / "3.png"), overwrite=True)
    cv2.imwrite(str(tmp_path / "cut" / "20231224.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(UserError, match="is not replaced"):
        convert_clip(clip, pattern, overwrite=True)
    assert len(list((tmp_path / "cut").iterdir())) == 13


def test_a_percent_sign_alone_is_no_sequence(
    clip: Path, tmp_path: Path, convert_clip: Convert
) -> None:
    convert_clip(clip, tmp_path / "100%done.mp4")
    assert len(read_video(tmp_path / "100%done.mp4")) == 12


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_where_the_gpu_has_no_video_units_the_cpu_does_the_same_and_says_so(
    suffix: str, brightness_model: Path, tmp_path: Path
) -> None:
    clip = write_video(tmp_path / "clip.mp4", [person_in_room()] * 10)
    outputs = []
    for gpu in (False, True):
        outputs.append(tmp_path / f"{gpu}{suffix}")
        summary = convert(
            clip, outputs[-1], background="#00b140", model=brightness_model,
            encoding=Encoding(gpu=gpu),
        )  # fmt: skip
    if not summary.notes:
        pytest.skip("this machine has NVENC and NVDEC")
    assert any("decoded by the CPU" in note for note in summary.notes)
    assert any("encodes" in note for note in summary.notes)
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
