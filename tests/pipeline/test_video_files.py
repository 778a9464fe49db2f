"""Videos in, videos out: every frame at its time, its colours, its tags, its sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import (
    PERSON,
    PLACES,
    ROOM,
    Planes,
    Shown,
    Yuv,
    assert_colour,
    hopping,
    inner,
    packets,
    paint,
    person_in_room,
    read_video,
    solid,
    write_video,
    yuv_of,
)

from seg_stream.pipeline import Summary, UserError, convert
from seg_stream.pipeline.sources import open_file

GREEN = "#00b140"
GREEN_RGB = (0x00, 0xB1, 0x40)

MARGIN = 10
"""Pixels from the edge of a box in which mask and encoder may mix."""

NEAR = 5
"""Steps of 255 by which the encoders may change a flat area; found to be 1 for x264 and, as the
processor's instructions have it, 2 to 4 for VP9."""

Convert = Callable[..., Summary]


@pytest.fixture
def convert_clip(brightness_model: Path) -> Convert:
    def run(input: Path, output: Path, **options: Any) -> Summary:
        return convert(input, output, model=brightness_model, **options)

    return run


@dataclass(frozen=True)
class Case:
    """A kind of video: how it is made, and what must come of it."""

    format: str = "yuv420p"
    suffix: str = ".mp4"
    size: tuple[int, int] = (96, 64)
    frames: int = 8
    options: dict[str, Any] = field(default_factory=dict)
    matrix: str = "601"
    full_range: bool = False

    def write(self, folder: Path) -> Path:
        pictures = [hopping(i, self.format, *self.size) for i in range(self.frames)]
        return write_video(folder / f"input{self.suffix}", pictures, self.format, **self.options)


IRREGULAR = [0, 40, 80, 81, 200, 333, 1000, 1007]
MS = Fraction(1, 1000)

CASES = {
    "constant rate": Case(),
    "NTSC rate": Case(options={"rate": Fraction(30000, 1001)}),
    "120 a second": Case(options={"rate": 120}),
    "variable rate": Case(suffix=".mkv", options={"times": IRREGULAR, "time_base": MS}),
    "variable rate in MP4": Case(options={"times": IRREGULAR, "time_base": MS}),
    "begins late": Case(options={"times": [125 + i for i in range(8)]}),
    "B frames": Case(options={"options": {"preset": "fast", "bf": "3", "crf": "8"}}, frames=20),
    "4:2:2": Case("yuv422p"),
    "4:4:4": Case("yuv444p"),
    "odd size": Case("yuv444p", size=(97, 65)),
    "full range": Case("yuvj420p", options={"colour": (6, 2, 6, 6)}, full_range=True),
    "full range 4:4:4": Case("yuvj444p", options={"colour": (6, 2, 6, 6)}, full_range=True),
    "10 bit": Case("yuv420p10le"),
    "one frame": Case(frames=1),
    "BT.601": Case(options={"colour": (6, 1, 6, 6)}),
    "BT.709": Case(options={"colour": (1, 1, 1, 1)}, matrix="709"),
    "BT.2020": Case("yuv420p10le", options={"colour": (9, 1, 9, 14)}, matrix="2020"),
    "wide pixels": Case(options={"aspect": Fraction(4, 3)}),
    "wide pixels from MKV": Case(suffix=".mkv", options={"aspect": Fraction(16, 11)}),
    "MPEG-TS": Case(suffix=".ts"),
    "VP9": Case(suffix=".webm", options={"codec": "libvpx-vp9", "options": {"lossless": "1"}}),
    "without a duration": Case(
        suffix=".webm",
        options={
            "codec": "libvpx",
            "options": {"deadline": "realtime", "b": "4M"},
            "container_options": {"live": "1"},
            "times": IRREGULAR,
            "time_base": MS,
            "colour": (6, 1, 2, 2),  # what the decoder of VP8 says
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_frame_keeps_its_time_its_size_its_colours_and_its_tags(
    name: str, tmp_path: Path, convert_clip: Convert
) -> None:
    case = CASES[name]
    source, output = case.write(tmp_path), tmp_path / "output.mp4"
    summary = convert_clip(source, output, background=GREEN)
    before, after = read_video(source), read_video(output)
    assert len(before) == case.frames, "the test's own clip is not what it should be"
    assert (summary.run.items, summary.notes) == (case.frames, [])
    assert [shown.time_s for shown in after] == [shown.time_s for shown in before]
    for index, (was, now) in enumerate(zip(before, after, strict=True)):
        assert (now.picture.width, now.picture.height) == case.size
        assert tags(now) == tags(was)
        assert_composited(index, now, yuv_of(GREEN_RGB, case.matrix, case.full_range))
    assert aspect(output) == aspect(source)


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".webm", ".MP4"])
@pytest.mark.parametrize("name", ["B frames", "NTSC rate", "variable rate", "4:2:2", "BT.709"])
def test_every_container_keeps_them_too(
    name: str, suffix: str, tmp_path: Path, convert_clip: Convert
) -> None:
    case = CASES[name]
    source, output = case.write(tmp_path), tmp_path / f"output{suffix}"
    summary = convert_clip(source, output, background=GREEN)
    before, after = read_video(source), read_video(output)
    assert (len(after), summary.notes) == (len(before), [])
    coarse_s = Fraction(1, 2000) if suffix in (".mkv", ".webm") else 0  # their clocks tick in ms
    for index, (was, now) in enumerate(zip(before, after, strict=True)):
        assert abs(now.time_s - was.time_s) <= coarse_s
        assert (now.picture.width, now.picture.height) == case.size
        assert now.picture.colorspace == was.picture.colorspace
        assert_composited(index, now, yuv_of(GREEN_RGB, case.matrix))


def assert_composited(index: int, now: Shown, background: Yuv) -> None:
    """The person of this very frame, as it was; the background wherever the person is not."""
    person = PLACES[index * 5 % len(PLACES)]
    for place in PLACES:
        pixels = inner(now.planes, *place, 32, 32, MARGIN)
        try:
            assert_colour(pixels, PERSON if place == person else background, NEAR)
        except AssertionError as error:
            what = "person" if place == person else "background"
            raise AssertionError(f"frame {index}, {what} at {place}: {error}") from None


def tags(shown: Shown) -> tuple[int, bool, int, int]:
    picture = shown.picture
    full = picture.color_range == 2 or picture.format.name.startswith("yuvj")
    return picture.colorspace, full, picture.color_primaries, picture.color_trc


def aspect(path: Path) -> Fraction:
    with av.open(str(path)) as container:
        return container.streams.video[0].sample_aspect_ratio or Fraction(1)


def test_webm_says_that_it_loses_the_shape_of_the_pixels(
    tmp_path: Path, convert_clip: Convert
) -> None:
    source = CASES["wide pixels"].write(tmp_path)
    summary = convert_clip(source, tmp_path / "output.webm")
    assert len(summary.notes) == 1
    assert "4:3" in summary.notes[0]


@pytest.mark.parametrize("frames", [1, 40])
def test_a_number_in_the_person_and_the_persons_place_stay_together(
    frames: int, tmp_path: Path, convert_clip: Convert
) -> None:
    """Each frame's number stands in the person's stripes and in where the person is."""
    pictures = []
    for index in range(frames):
        planes = person_in_room(width=192, height=128, x=32 * (index % 5), y=32 * (index % 3))
        for bit in range(6):
            bright = 230 if index >> bit & 1 else 170
            stripe = 32 * (index % 5), 32 * (index % 3) + 4 + 4 * bit, 32, 4
            paint(planes, *stripe, (bright, *PERSON[1:]))
        pictures.append(planes)
    source = write_video(tmp_path / "numbers.mp4", pictures)
    convert_clip(source, tmp_path / "output.mp4", background=GREEN)
    numbers = []
    for index, shown in enumerate(read_video(tmp_path / "output.mp4")):
        x, y = 32 * (index % 5), 32 * (index % 3)
        stripes = [shown.planes[0][y + 4 + 4 * bit + 1, x + 16] for bit in range(6)]
        numbers.append(sum((value > 200) << bit for bit, value in enumerate(stripes)))
        luma = yuv_of(GREEN_RGB, "601")[0]
        away = np.ones((128, 192), bool)
        away[max(0, y - 16) : y + 48, max(0, x - 16) : x + 48] = False
        assert np.abs(shown.planes[0][away].astype(int) - luma).max() <= NEAR
    assert numbers == list(range(frames))


# What a phone writes: the picture lies on its side, a matrix says how to turn it.
QUADRANTS: list[Yuv] = [(200, 100, 150), (220, 128, 128), (180, 150, 110), (160, 90, 128)]


def quadrants(format: str, width: int, height: int) -> Planes:
    """Four bright colours: top left, top right, bottom left, bottom right."""
    planes = solid(format, width, height, QUADRANTS[0])
    paint(planes, width // 2, 0, width // 2, height // 2, QUADRANTS[1])
    paint(planes, 0, height // 2, width // 2, height // 2, QUADRANTS[2])
    paint(planes, width // 2, height // 2, width // 2, height // 2, QUADRANTS[3])
    return planes


@pytest.mark.parametrize("format", ["yuv420p", "yuv422p", "yuv444p"])
@pytest.mark.parametrize(
    ("degrees", "order", "upright"),
    [  # counter-clockwise, as FFmpeg counts: the right column becomes the top row
        (90, [1, 3, 0, 2], (64, 96)),
        (-90, [2, 0, 3, 1], (64, 96)),
        (180, [3, 2, 1, 0], (96, 64)),
    ],
)
def test_a_turned_video_comes_out_upright(
    degrees: int,
    order: list[int],
    upright: tuple[int, int],
    format: str,
    tmp_path: Path,
    convert_clip: Convert,
) -> None:
    pictures = [quadrants(format, 96, 64)] * 3
    source = write_video(tmp_path / "phone.mp4", pictures, format, rotation=degrees)
    assert (read_video(source)[0].picture.rotation - degrees) % 360 == 0
    convert_clip(source, tmp_path / "output.mp4", background=GREEN)
    shown = read_video(tmp_path / "output.mp4")[-1]
    width, height = shown.picture.width, shown.picture.height
    assert ((width, height), shown.picture.rotation) == (upright, 0)
    half = width // 2, height // 2
    corners = [(0, 0), (half[0], 0), (0, half[1]), half]
    for corner, colour in zip(corners, order, strict=True):
        assert_colour(inner(shown.planes, *corner, *half, 8), QUADRANTS[colour], NEAR)


def test_turning_a_video_turns_the_shape_of_its_pixels(
    tmp_path: Path, convert_clip: Convert
) -> None:
    pictures = [quadrants("yuv420p", 96, 64)] * 2
    source = write_video(tmp_path / "phone.mp4", pictures, rotation=90, aspect=Fraction(4, 3))
    convert_clip(source, tmp_path / "output.mp4")
    assert aspect(tmp_path / "output.mp4") == Fraction(3, 4)


@pytest.mark.parametrize(
    ("codec", "format", "suffix"),
    [("libx264rgb", "rgb24", ".mkv"), ("ffv1", "bgr0", ".mkv"), ("png", "rgb24", ".mov")],
)
@pytest.mark.parametrize("height", [64, 720])
def test_rgb_video_becomes_yuv_that_says_which(
    codec: str, format: str, suffix: str, height: int, tmp_path: Path, convert_clip: Convert
) -> None:
    image = np.full((height, 96, 3), (40, 50, 60), np.uint8)
    person = (250, 180, 140)
    image[height // 4 : 3 * height // 4, 32:64] = person
    source = tmp_path / f"screen{suffix}"
    with av.open(str(source), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, height, format
        for index in range(3):
            picture = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format=format)
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    convert_clip(source, tmp_path / "output.mp4", background=GREEN)
    shown = read_video(tmp_path / "output.mp4")
    assert len(shown) == 3
    assert tags(shown[0])[:2] == (1, False)
    inside = inner(shown[0].planes, 32, height // 4, 32, height // 2, MARGIN)
    assert_colour(inside, yuv_of(person, "709"), NEAR)
    assert_colour(inner(shown[0].planes, 0, 0, 20, 10), yuv_of(GREEN_RGB, "709"), NEAR)


def test_untagged_video_of_720_rows_is_taken_as_bt_709(
    tmp_path: Path, convert_clip: Convert
) -> None:
    source = write_video(tmp_path / "hd.mp4", [person_in_room(width=160, height=720)] * 2)
    convert_clip(source, tmp_path / "output.mp4", background=GREEN)
    shown = read_video(tmp_path / "output.mp4")[0]
    assert tags(shown) == (2, False, 2, 2)
    assert_colour(inner(shown.planes, 0, 400, 160, 200), yuv_of(GREEN_RGB, "709"), NEAR)


@pytest.mark.parametrize("rate", [25, 50])
def test_a_raw_stream_is_shown_at_its_nominal_rate(
    rate: int, tmp_path: Path, convert_clip: Convert
) -> None:
    source = write_video(tmp_path / "raw.264", [hopping(i) for i in range(12)], rate=rate)
    summary = convert_clip(source, tmp_path / "output.mp4", background=GREEN)
    shown = read_video(tmp_path / "output.mp4")
    assert [one.time_s for one in shown] == [Fraction(i, rate) for i in range(12)]
    assert summary.notes == []
    for index, one in enumerate(shown):
        assert_composited(index, one, yuv_of(GREEN_RGB, "601"))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("begin_s", [Fraction(0), Fraction(1, 2)])
def test_the_sound_is_copied_packet_by_packet_in_step_with_the_picture(
    begin_s: Fraction, suffix: str, tmp_path: Path, convert_clip: Convert
) -> None:
    pictures = [hopping(i) for i in range(30)]
    source = write_video(tmp_path / "talk.mp4", pictures, sound=(begin_s, Fraction(1)))
    output = tmp_path / f"output{suffix}"
    summary = convert_clip(source, output, background=GREEN)
    before, after = packets(source, "audio"), packets(output, "audio")
    assert len(before) > 40
    assert [data for _, data in after] == [data for _, data in before]
    # MKV has no times below 0 and moves both, as FFmpeg does; it ticks in milliseconds.
    moved_s = read_video(output)[0].time_s
    assert moved_s == 0 or (suffix, begin_s) == (".mkv", 0)
    for (was_s, _), (now_s, _) in zip(before, after, strict=True):
        assert abs(now_s - was_s - moved_s) <= (Fraction(1, 1000) if suffix == ".mkv" else 0)
    assert summary.notes == []
    assert len(read_video(output)) == 30


@pytest.mark.parametrize("length_s", [Fraction(1, 5), Fraction(4)])
def test_sound_shorter_or_longer_than_the_picture_stays_whole(
    length_s: Fraction, tmp_path: Path, convert_clip: Convert
) -> None:
    pictures = [hopping(i) for i in range(25)]
    source = write_video(tmp_path / "talk.mp4", pictures, sound=(Fraction(0), length_s))
    convert_clip(source, tmp_path / "output.mp4")
    assert packets(tmp_path / "output.mp4", "audio") == packets(source, "audio")


def test_sound_that_does_not_fit_is_named_and_left_out(
    tmp_path: Path, convert_clip: Convert
) -> None:
    source = write_video(
        tmp_path / "talk.mp4", [hopping(i) for i in range(5)], sound=(Fraction(0), Fraction(1, 5))
    )
    summary = convert_clip(source, tmp_path / "output.webm")
    assert len(summary.notes) == 1
    assert "audio" in summary.notes[0]
    assert "aac" in summary.notes[0]
    with av.open(str(tmp_path / "output.webm")) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_subtitles_are_copied(tmp_path: Path, convert_clip: Convert) -> None:
    plain = write_video(tmp_path / "plain.mkv", [hopping(i) for i in range(25)])
    text = tmp_path / "text.srt"
    text.write_text("1\n00:00:00,200 --> 00:00:00,700\nGood morning\n")
    source = tmp_path / "talk.mkv"
    with (
        av.open(str(plain)) as video,
        av.open(str(text)) as lines,
        av.open(str(source), "w") as container,
    ):
        inputs = [video.streams.video[0], lines.streams.subtitles[0]]
        targets = [container.add_stream_from_template(stream) for stream in inputs]
        for opened, stream, target in zip((video, lines), inputs, targets, strict=True):
            for packet in opened.demux(stream):
                if packet.size:
                    packet.stream = target
                    container.mux(packet)
    convert_clip(source, tmp_path / "output.mkv")
    assert packets(tmp_path / "output.mkv", "subtitles") == packets(source, "subtitles")
    assert packets(source, "subtitles")[0][1] == b"Good morning"


def test_frames_before_an_edit_lists_begin_are_not_missed(
    tmp_path: Path, convert_clip: Convert
) -> None:
    """A trimmed clip of a phone: the file holds frames that are not to be shown."""
    whole = write_video(tmp_path / "whole.mp4", [hopping(i) for i in range(20)])
    source = tmp_path / "trimmed.mp4"
    with av.open(str(whole)) as input, av.open(str(source), "w") as output:
        stream = output.add_stream_from_template(input.streams.video[0])
        for packet in input.demux(video=0):
            if packet.size:
                shift = round(6 / (25 * packet.time_base))
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = stream
                output.mux(packet)
    with av.open(str(source)) as container:
        assert container.streams.video[0].frames == 20
    summary = convert_clip(source, tmp_path / "output.mp4", background=GREEN)
    shown = read_video(tmp_path / "output.mp4")
    assert [one.time_s for one in shown] == [Fraction(i, 25) for i in range(14)]
    assert summary.notes == []
    for index, one in enumerate(shown):
        assert_composited(index + 6, one, yuv_of(GREEN_RGB, "601"))


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".avi", ".mp4"])
def test_a_video_cut_off_in_the_middle_is_converted_as_far_as_it_goes(
    suffix: str, tmp_path: Path, convert_clip: Convert
) -> None:
    options = {"movflags": "faststart"} if suffix == ".mp4" else {}
    whole = write_video(
        tmp_path / f"whole{suffix}", [hopping(i) for i in range(100)], container_options=options
    )
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[: round(whole.stat().st_size * 0.6)])
    summary = convert_clip(cut, tmp_path / "output.mp4", background=GREEN)
    shown = read_video(tmp_path / "output.mp4")
    assert 20 < len(shown) < 90
    for index, one in enumerate(shown[:-1]):
        assert_composited(index, one, yuv_of(GREEN_RGB, "601"))
    if suffix == ".ts":  # it cannot know how long it was
        return
    assert any("cut off" in note or "whole" in note for note in summary.notes)


def test_damage_in_the_middle_is_said(tmp_path: Path, convert_clip: Convert) -> None:
    pictures = [noisy(hopping(i), i) for i in range(60)]
    options = {"preset": "ultrafast", "crf": "10", "g": "10"}
    data = bytearray(write_video(tmp_path / "whole.mp4", pictures, options=options).read_bytes())
    third = len(data) // 3
    for place in range(third, third + 3000):
        data[place] = (data[place] * 7 + 13) % 256
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    summary = convert_clip(damaged, tmp_path / "output.mp4")
    assert 30 < len(read_video(tmp_path / "output.mp4")) <= 60
    assert any("damaged" in note for note in summary.notes)


def noisy(planes: Planes, seed: int) -> Planes:
    """With noise, so that there is something to encode."""
    rng = np.random.default_rng(seed)
    return tuple(
        np.clip(plane.astype(int) + rng.integers(-5, 6, plane.shape), 0, 255).astype(np.uint8)
        for plane in planes
    )


@pytest.mark.parametrize("times", [None, IRREGULAR])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".flv"])
def test_nothing_is_said_about_a_whole_video(
    suffix: str, times: list[int] | None, tmp_path: Path
) -> None:
    """Not even where the file only knows an average rate, or the sound goes on a little."""
    if suffix == ".avi" and times:
        pytest.skip("AVI has one rate")
    options = {"times": times, "time_base": MS} if times else {}
    sound = None if suffix == ".avi" else (Fraction(0), Fraction(7, 5 if times else 20))
    pictures = [hopping(i) for i in range(8)]
    path = write_video(tmp_path / f"whole{suffix}", pictures, sound=sound, **options)
    with open_file(path) as source:
        assert len(list(source)) == 8
        assert source.notes == []


def test_a_video_background_runs_at_its_own_rate_and_starts_again(
    tmp_path: Path, convert_clip: Convert
) -> None:
    """10 frames a second behind 25, three frames long: 0, 0.1, 0.2, and from the start at 0.3."""
    greys = [40, 100, 160]
    pictures = [solid("yuv420p", 96, 64, (grey, 128, 128)) for grey in greys]
    background = write_video(tmp_path / "behind.mp4", pictures, rate=10)
    source = write_video(tmp_path / "front.mp4", [hopping(i) for i in range(25)])
    convert_clip(source, tmp_path / "output.mp4", background=str(background))
    for index, shown in enumerate(read_video(tmp_path / "output.mp4")):
        grey = greys[int(Fraction(index, 25) * 10) % 3]
        assert_composited(index, shown, (grey, 128, 128))


def test_a_video_background_does_not_wait_for_a_clip_that_begins_late(
    tmp_path: Path, convert_clip: Convert
) -> None:
    greys = [40, 70, 100, 130, 160]
    pictures = [solid("yuv420p", 96, 64, (grey, 128, 128)) for grey in greys]
    background = write_video(
        tmp_path / "behind.mp4", pictures, rate=25, times=[75 + i for i in range(5)]
    )
    front = [hopping(i) for i in range(5)]
    source = write_video(tmp_path / "front.mp4", front, times=[125 + i for i in range(5)])
    convert_clip(source, tmp_path / "output.mp4", background=str(background))
    for index, shown in enumerate(read_video(tmp_path / "output.mp4")):
        assert_composited(index, shown, (greys[index], 128, 128))


def test_the_room_itself_can_be_the_background(tmp_path: Path, convert_clip: Convert) -> None:
    source = write_video(tmp_path / "front.mp4", [hopping(i) for i in range(4)])
    convert_clip(source, tmp_path / "output.mp4", background="blur")
    for index, shown in enumerate(read_video(tmp_path / "output.mp4")):
        assert_composited(index, shown, ROOM)


def test_hdr_is_refused_by_name(tmp_path: Path, convert_clip: Convert) -> None:
    source = write_video(
        tmp_path / "hdr.mp4",
        [person_in_room()] * 2,
        "yuv420p10le",
        colour=(9, 1, 9, 16),
    )
    with pytest.raises(UserError, match=r"hdr\.mp4 is HDR video \(PQ\)"):
        convert_clip(source, tmp_path / "output.mp4")
    assert not (tmp_path / "output.mp4").exists()


def test_a_size_that_changes_is_scaled_to_the_first_and_said(
    tmp_path: Path, convert_clip: Convert
) -> None:
    first = write_video(tmp_path / "a.264", [person_in_room()] * 5)
    second = write_video(tmp_path / "b.264", [person_in_room(width=192, height=128, x=64)] * 5)
    both = tmp_path / "both.264"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    summary = convert_clip(both, tmp_path / "output.mp4")
    shown = read_video(tmp_path / "output.mp4")
    assert {(one.picture.width, one.picture.height) for one in shown} == {(96, 64)}
    assert len(shown) == 10
    assert any("its size changes; 5 frames" in note for note in summary.notes)
