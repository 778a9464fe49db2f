"""The rows that `test_video_files.py` leaves open, seen by models that know one answer only.

One finds everyone everywhere: the picture has to come out as it went in. One finds nobody: there is
only background, in the colours of that very video.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import (
    Planes,
    Shown,
    assert_colour,
    hopping,
    packets,
    picture_of,
    read_video,
    write_video,
    yuv_of,
)

from seg_stream.engines.model_info import ModelInfo
from seg_stream.pipeline import Summary, UserError, convert
from seg_stream.pipeline.frame import plane_sizes
from seg_stream.pipeline.sinks.encoding import Encoding

BACKGROUND = (200, 60, 120)
HEX = "#" + bytes(BACKGROUND).hex()

UNTAGGED = (2, 0, 2, 2)
BT601, BT709, BT2020 = (6, 1, 6, 6), (1, 1, 1, 1), (9, 1, 9, 14)
BT601_FULL, BT709_FULL = (6, 2, 6, 6), (1, 2, 1, 1)
MATRIX = {1: "709", 9: "2020"}

LOSSLESS = Encoding("ffv1")

Run = Callable[..., Summary]


@pytest.fixture(scope="module")
def run(write_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Convert with the brightness model, for which every picture is very bright or very dark."""
    folder = tmp_path_factory.mktemp("models")
    models = {}
    for name, mean in (("everyone", -1000.0), ("nobody", 1000.0)):
        info = ModelInfo(name=name, input_mean=(mean, mean, mean))
        models[name] = write_model(folder / f"{name}.onnx", info=info)

    def run(input: Path, output: Path, model: str, encoding: Encoding | None = None) -> Summary:
        return convert(input, output, background=HEX, model=models[model], encoding=encoding)

    return run


# Pixel formats, ranges, matrices, sizes and rates


@dataclass(frozen=True)
class Row:
    """A kind of video, held by FFV1 without loss; its luma takes every value that there is."""

    format: str = "yuv420p"
    size: tuple[int, int] = (96, 64)
    colour: tuple[int, int, int, int] = UNTAGGED
    frames: int = 3
    rate: Fraction | int = 25
    plain: bool = False
    """The chroma of a picture is one colour, which stays when it is scaled."""

    @property
    def bits(self) -> int:
        return av.VideoFormat(self.format).components[0].bits

    @property
    def full_range(self) -> bool:
        return self.colour[1] == 2

    def planes(self, index: int) -> Planes:
        rng = np.random.default_rng(index)
        kind = np.uint8 if self.bits == 8 else np.uint16
        luma, *chroma = plane_sizes(self.format[:7], *self.size)  # type: ignore[arg-type]
        top = 1 << self.bits
        return (
            rng.integers(0, top, luma, kind),
            *(
                np.full(size, rng.integers(0, top), kind)
                if self.plain
                else rng.integers(0, top, size, kind)
                for size in chroma
            ),
        )

    def expected(self, index: int) -> Planes:
        """In 8 bits, unrounded: by the text of ITU-R BT.709 and BT.2100, section 9 and 3."""
        if self.bits == 8:
            return self.planes(index)
        scale = 255 / (2**self.bits - 1) if self.full_range else 2.0 ** (8 - self.bits)
        middle = 1 << (self.bits - 1)
        luma, *chroma = self.planes(index)
        values = (luma * scale, *(128 + (plane.astype(int) - middle) * scale for plane in chroma))
        return tuple(np.clip(plane, 0, 255) for plane in values)

    def write(self, path: Path) -> Path:
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream("ffv1", rate=self.rate)
            stream.width, stream.height, stream.pix_fmt = *self.size, self.format
            context = stream.codec_context
            context.colorspace, context.color_range = self.colour[:2]
            context.color_primaries, context.color_trc = self.colour[2:]
            for index in range(self.frames):
                picture = av.VideoFrame(*self.size, self.format)
                for target, plane in zip(picture.planes, self.planes(index), strict=True):
                    rows = np.frombuffer(memoryview(target), plane.dtype)
                    rows.reshape(target.height, -1)[:, : target.width] = plane
                picture.pts, picture.time_base = index, 1 / Fraction(self.rate)
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        return path


AS_IT_IS = {
    "constant rate": Row(frames=8),
    "1 a second": Row(rate=1),
    "one in ten seconds": Row(rate=Fraction(1, 10)),
    "120 a second": Row(rate=120, frames=8),
    "one frame": Row(frames=1),
    "4:2:2": Row("yuv422p"),
    "4:4:4": Row("yuv444p"),
    "BT.601": Row(colour=BT601),
    "BT.709": Row(colour=BT709),
    "BT.709 4:2:2": Row("yuv422p", colour=BT709),
    "full range": Row(colour=BT601_FULL),
    "full range BT.709": Row(colour=BT709_FULL),
    "full range BT.709 4:4:4": Row("yuv444p", colour=BT709_FULL),
    "very small": Row(size=(4, 4)),
    "odd size 4:4:4": Row("yuv444p", (97, 65)),
}
"""What the pipeline holds without a change."""

CONVERTED = {
    "10 bit": Row("yuv420p10le", plain=True),
    "10 bit BT.709": Row("yuv420p10le", colour=BT709, plain=True),
    "10 bit BT.2020": Row("yuv420p10le", colour=BT2020, plain=True),
    "10 bit full range": Row("yuv420p10le", colour=BT601_FULL, plain=True),
    "10 bit full range BT.709": Row("yuv420p10le", colour=BT709_FULL, plain=True),
    "10 bit 4:2:2": Row("yuv422p10le", plain=True),
    "10 bit 4:4:4": Row("yuv444p10le", colour=BT709, plain=True),
    "10 bit odd size": Row("yuv420p10le", (97, 65), plain=True),
    "12 bit": Row("yuv420p12le", plain=True),
    "odd width": Row(size=(97, 64), plain=True),
    "odd height": Row(size=(96, 65), colour=BT709, plain=True),
    "odd size": Row(size=(97, 65), plain=True),
    "odd size 4:2:2": Row("yuv422p", (97, 65), plain=True),
    "odd size full range": Row(size=(97, 65), colour=BT709_FULL, plain=True),
}
"""What becomes 8-bit YUV of another kind: luma and plain colours stay, but for their depth."""

ROWS = AS_IT_IS | CONVERTED


def there_and_back(row: Row, model: str, run: Run, folder: Path) -> list[Shown]:
    """Convert a row without loss; what is not the picture has to be the same."""
    source, output = row.write(folder / "input.mkv"), folder / "output.mkv"
    summary = run(source, output, model, LOSSLESS)
    before, after = read_video(source), read_video(output)
    assert len(before) == row.frames, "the test's own clip is not what it should be"
    assert (summary.run.items, summary.notes) == (row.frames, [])
    assert [shown.time_s for shown in after] == [shown.time_s for shown in before]
    assert {(shown.picture.width, shown.picture.height) for shown in after} == {row.size}
    assert [tags(shown) for shown in after] == [tags(shown) for shown in before]
    assert tags(before[0])[0] == row.colour[0], "the test's own clip is not what it should be"
    return after


def tags(shown: Shown) -> tuple[int, bool, int, int]:
    picture = shown.picture
    full = picture.color_range == 2
    return picture.colorspace, full, picture.color_primaries, picture.color_trc


@pytest.mark.parametrize("name", AS_IT_IS)
def test_where_all_is_person_every_byte_of_a_lossless_video_comes_out(
    name: str, tmp_path: Path, run: Run
) -> None:
    row = AS_IT_IS[name]
    for index, shown in enumerate(there_and_back(row, "everyone", run, tmp_path)):
        assert shown.picture.format.name == row.format
        assert_same(shown.planes, row.planes(index))


def assert_same(planes: Planes, expected: Planes) -> None:
    for plane, other in zip(planes, expected, strict=True):
        np.testing.assert_array_equal(plane, other)


@pytest.mark.parametrize("name", CONVERTED)
def test_where_all_is_person_another_kind_of_video_keeps_its_luma_and_its_colour(
    name: str, tmp_path: Path, run: Run
) -> None:
    row = CONVERTED[name]
    for index, shown in enumerate(there_and_back(row, "everyone", run, tmp_path)):
        luma, *chroma = row.expected(index)
        assert np.abs(shown.planes[0] - luma).max() <= (0 if row.bits == 8 else 1)
        for plane, expected in zip(shown.planes[1:], chroma, strict=True):
            assert np.abs(plane - float(expected.flat[0])).max() <= 1


@pytest.mark.parametrize("name", ROWS)
def test_where_nobody_is_there_is_only_background_in_the_videos_own_colours(
    name: str, tmp_path: Path, run: Run
) -> None:
    row = ROWS[name]
    colour = yuv_of(BACKGROUND, MATRIX.get(row.colour[0], "601"), row.full_range)
    for shown in there_and_back(row, "nobody", run, tmp_path):
        assert_colour(shown.planes, colour, 1)


# Everything is person, through H.264


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"options": {"preset": "fast", "bf": "3", "crf": "8"}},
        {"times": [0, 40, 80, 81, 200, 333, 1000, 1007], "time_base": Fraction(1, 1000)},
    ],
    ids=["constant rate", "B frames", "variable rate"],
)
@pytest.mark.parametrize(
    ("suffix", "encoding"), [(".mkv", LOSSLESS), (".mp4", Encoding(quality=0))]
)
def test_frames_of_any_order_come_out_byte_by_byte_each_at_its_time(
    suffix: str, encoding: Encoding, options: dict[str, Any], tmp_path: Path, run: Run
) -> None:
    source = write_video(tmp_path / "input.mp4", [hopping(i) for i in range(8)], **options)
    times = [time_s for time_s, _ in packets(source, "video")]
    assert (times != sorted(times)) == ("options" in options)
    output = tmp_path / f"output{suffix}"
    run(source, output, "everyone", encoding)
    before, after = read_video(source), read_video(output)
    assert len(after) == 8
    for was, now in zip(before, after, strict=True):
        assert now.time_s == was.time_s
        assert_same(now.planes, was.planes)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".webm"])
@pytest.mark.parametrize("format", ["yuv420p", "yuv422p", "yuv444p"])
def test_where_all_is_person_only_the_encoder_changes_the_picture(
    format: str, suffix: str, tmp_path: Path, run: Run
) -> None:
    """Found with this noise: at most 8 for x264 and 12 for VP9, 1.6 in the mean."""
    rng = np.random.default_rng(6)
    pictures = [
        tuple(plane + rng.integers(0, 6, plane.shape, np.uint8) for plane in hopping(i, format))
        for i in range(6)
    ]
    source = write_video(tmp_path / "in.mp4", pictures, format)
    run(source, tmp_path / f"out{suffix}", "everyone")
    for now, was in zip(read_video(tmp_path / f"out{suffix}"), pictures, strict=True):
        for plane, expected in zip(now.planes, was, strict=True):
            off = np.abs(plane.astype(int) - expected)
            assert off.max() <= 24, "more than the noise"
            assert off.mean() <= 3


@pytest.mark.parametrize("degrees", [90, -90, 180])
@pytest.mark.parametrize("format", ["yuv420p", "yuv444p"])
def test_a_turned_video_is_turned_byte_by_byte(
    format: str, degrees: int, tmp_path: Path, run: Run
) -> None:
    pictures = [hopping(i, format) for i in range(4)]
    source = write_video(tmp_path / "phone.mp4", pictures, format, rotation=degrees)
    run(source, tmp_path / "out.mkv", "everyone", LOSSLESS)
    for now, was in zip(read_video(tmp_path / "out.mkv"), pictures, strict=True):
        assert_same(now.planes, tuple(np.rot90(plane, degrees // 90) for plane in was))


# No picture at all


def test_a_video_track_without_frames_is_refused_in_one_sentence(tmp_path: Path, run: Run) -> None:
    source = tmp_path / "nothing.mkv"
    with av.open(str(source), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        sound: Any = container.add_stream("pcm_s16le", rate=48000)
        write_tone(container, sound, 48000, Fraction(0))
    with av.open(str(source)) as container:
        assert len(container.streams.video) == 1
    with pytest.raises(UserError, match=r"nothing\.mkv: no picture could be decoded \(.*\?$"):
        run(source, tmp_path / "out.mp4", "everyone")
    assert [path.name for path in tmp_path.iterdir()] == ["nothing.mkv"]


@pytest.mark.parametrize("name", ["nothing.264", "nothing.ts"])
def test_a_stream_of_nothing_is_refused_in_one_sentence(
    name: str, tmp_path: Path, run: Run
) -> None:
    (tmp_path / name).touch()
    with pytest.raises(UserError, match=rf"{name} is not a video that can be read \(.*\)\.$"):
        run(tmp_path / name, tmp_path / "out.mp4", "everyone")
    assert [path.name for path in tmp_path.iterdir()] == [name]


# Sound of other rates and codecs, beginning before and after the picture


def write_tone(container: Any, stream: Any, rate: int, begin_s: Fraction) -> None:
    """One second of noise, so that no two packets are the same."""
    noise = np.random.default_rng(1).integers(-5000, 5000, (1, 2 * rate), np.int16)
    frame = av.AudioFrame.from_ndarray(noise, "s16", "stereo")
    frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
    frame.pts = round(begin_s * rate)
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


@pytest.mark.parametrize("late_s", [Fraction(0), Fraction(1, 3), Fraction(-3, 5)])
@pytest.mark.parametrize(
    ("rate", "codec", "suffix", "output"),
    [
        (44100, "aac", ".mp4", ".mp4"),
        (44100, "aac", ".mp4", ".mkv"),
        (44100, "aac", ".mkv", ".mp4"),
        (44100, "libmp3lame", ".mp4", ".mp4"),
        (44100, "flac", ".mkv", ".mkv"),
        (44100, "pcm_s16le", ".mov", ".mov"),
        (48000, "aac", ".mp4", ".mov"),
        (48000, "aac", ".ts", ".mp4"),
        (48000, "libopus", ".webm", ".webm"),
        (48000, "libopus", ".mkv", ".mp4"),
        (48000, "pcm_s16le", ".mov", ".mkv"),
    ],
)
def test_sound_keeps_its_bytes_and_its_distance_from_the_picture(
    rate: int,
    codec: str,
    suffix: str,
    output: str,
    late_s: Fraction,
    tmp_path: Path,
    run: Run,
) -> None:
    video = "libvpx-vp9" if suffix == ".webm" else "libx264"
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{output}"
    with av.open(str(source), "w") as container:
        stream: Any = container.add_stream(video, rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        sound: Any = container.add_stream(codec, rate=rate)
        for index in range(20):
            picture = picture_of(hopping(index), "yuv420p", UNTAGGED)
            picture.pts, picture.time_base = index + 25, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        write_tone(container, sound, rate, 1 + late_s)
    summary = run(source, target, "everyone")
    assert summary.notes == []
    before, after = packets(source, "audio"), packets(target, "audio")
    assert len(before) > 5
    # The header of every AAC packet in MPEG-TS (ADTS) says what other files say once.
    header = 7 if suffix == ".ts" else 0
    assert [data for _, data in after] == [data[header:] for _, data in before]
    with av.open(str(target)) as container:
        assert container.streams.audio[0].rate == rate
    picture_moved_s = read_video(target)[0].time_s - read_video(source)[0].time_s
    for (was_s, _), (now_s, _) in zip(before, after, strict=True):
        assert abs(now_s - was_s - picture_moved_s) <= Fraction(1, 1000)
