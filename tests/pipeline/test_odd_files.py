"""Files as users have them: joined, titled, stored upside down, with streams nobody can decode."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import person_in_room, read_video, write_video

from seg_stream.pipeline import UserError, convert


def test_titles_languages_and_chapters_are_carried_over(
    brightness_model: Path, tmp_path: Path
) -> None:
    clip = write_video(
        tmp_path / "clip.mkv", [person_in_room()] * 50, sound=(Fraction(0), Fraction(2))
    )
    titled, output = tmp_path / "titled.mkv", tmp_path / "out.mkv"
    with av.open(str(clip)) as source, av.open(str(titled), "w") as target:
        target.metadata["title"] = "A talk"
        target.set_chapters(
            [{"id": 1, "start": 0, "end": 1000, "time_base": Fraction(1, 1000),
              "metadata": {"title": "Begin"}}]
        )  # fmt: skip
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        streams[1].metadata["language"] = "deu"
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                target.mux(packet)

    summary = convert(titled, output, background="#00b140", model=brightness_model)
    assert not summary.notes
    with av.open(str(output)) as container:
        assert container.metadata["title"] == "A talk"
        assert container.streams.audio[0].metadata["language"] == "deu"
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["Begin"]


def test_sound_that_goes_back_in_time_does_not_cost_the_video(
    brightness_model: Path, tmp_path: Path
) -> None:
    clip = write_video(
        tmp_path / "a.ts", [person_in_room()] * 25, sound=(Fraction(0), Fraction(1)),
        options={"preset": "ultrafast", "bf": "0", "qp": "0"},
    )  # fmt: skip
    joined, output = tmp_path / "joined.ts", tmp_path / "out.mkv"
    joined.write_bytes(clip.read_bytes() * 2)
    summary = convert(joined, output, background="#00b140", model=brightness_model)
    assert len(read_video(output)) == summary.run.items == 50
    assert any("go back in time" in note for note in summary.notes)


def test_a_sound_track_that_nobody_knows_is_named_and_left_out(
    brightness_model: Path, tmp_path: Path
) -> None:
    clip = write_video(
        tmp_path / "clip.mp4", [person_in_room()] * 25, sound=(Fraction(0), Fraction(1))
    )
    clip.write_bytes(clip.read_bytes().replace(b"mp4a", b"zzzz").replace(b"esds", b"yyyy"))
    output = tmp_path / "out.mp4"
    summary = convert(clip, output, background="#00b140", model=brightness_model)
    assert len(read_video(output)) == 25
    assert any("audio stream 1 (unknown) was left out" in note for note in summary.notes)


def test_a_video_stored_bottom_up_comes_out_upright(brightness_model: Path, tmp_path: Path) -> None:
    width, height = 100, 64
    image = np.full((height, width, 3), (60, 20, 20), np.uint8)
    image[8:40, 40:72] = 230  # the person, in the upper half
    clip = tmp_path / "old.avi"
    write_bottom_up_avi(clip, [image] * 5)
    with av.open(str(clip)) as container:
        assert next(container.decode(video=0)).planes[0].line_size < 0
    convert(clip, tmp_path / "out.mkv", background="#00b140", model=brightness_model)
    shown = read_video(tmp_path / "out.mkv")[-1].bgr()
    assert shown[12:36, 44:68].min() > 200
    assert shown[50:60, 44:68, 2].max() < 60  # the green background


def write_bottom_up_avi(path: Path, images: list[np.ndarray]) -> None:
    """Uncompressed BGR, last row first, as Windows programs write it (RIFF AVI, BI_RGB)."""
    height, width = images[0].shape[:2]

    def chunk(kind: bytes, data: bytes) -> bytes:
        return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    frames = [np.ascontiguousarray(image[::-1]).tobytes() for image in images]
    size = len(frames[0])
    main = struct.pack("<14I", 40000, 0, 0, 0x10, len(images), 0, 1, size, width, height, *[0] * 4)
    stream = b"vidsDIB " + struct.pack("<IHHIIIIIIII4H", 0, 0, 0, 0, 1, 25, 0, len(images), size,
                                       0xFFFFFFFF, 0, 0, 0, width, height)  # fmt: skip
    bitmap = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, size, 0, 0, 0, 0)
    strl = chunk(b"LIST", b"strl" + chunk(b"strh", stream) + chunk(b"strf", bitmap))
    header = chunk(b"LIST", b"hdrl" + chunk(b"avih", main) + strl)
    movie = chunk(b"LIST", b"movi" + b"".join(chunk(b"00db", frame) for frame in frames))
    path.write_bytes(chunk(b"RIFF", b"AVI " + header + movie))


@pytest.mark.parametrize("segment_s", [0, 1])
def test_one_frame_of_the_same_time_does_not_move_the_others(
    segment_s: int, brightness_model: Path, tmp_path: Path
) -> None:
    """Also at the border of two segments."""
    clip = write_video(
        tmp_path / "a.mkv", [person_in_room()] * 75,
        options={"preset": "ultrafast", "bf": "0", "qp": "0"},
    )  # fmt: skip
    doubled, output = tmp_path / "doubled.mkv", tmp_path / "out.mkv"
    with av.open(str(clip)) as source, av.open(str(doubled), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                twice = 2 if packet.pts == 960 else 1
                packet.stream = stream
                for _ in range(twice):
                    packet.pts = packet.dts = round(packet.pts * packet.time_base * 1000)
                    packet.time_base = Fraction(1, 1000)
                    target.mux(packet)
    times_s = [shown.time_s for shown in read_video(doubled)]
    assert len(times_s) == len(set(times_s)) + 1
    summary = convert(
        doubled, output, background="#00b140", model=brightness_model, segment_s=segment_s
    )
    after_s = [shown.time_s for shown in read_video(output)]
    moved = [now - was for was, now in zip(times_s, after_s, strict=True)]
    assert sorted(moved) == [0] * 75 + [Fraction(1, 1000)]
    assert any("1 frames had no usable time" in note for note in summary.notes)


def test_a_video_that_becomes_hdr_is_refused_and_one_that_changes_its_colours_is_said(
    brightness_model: Path, tmp_path: Path
) -> None:
    options = {"preset": "ultrafast", "bf": "0", "crf": "18"}
    parts = {
        name: write_video(
            tmp_path / f"{name}.264", [person_in_room()] * 10, options=options, colour=colour
        )
        for name, colour in [("sd", (6, 1, 6, 6)), ("hd", (1, 1, 1, 1)), ("hdr", (9, 1, 9, 16))]
    }
    for name in ("hd", "hdr"):
        joined = tmp_path / f"joined_{name}.264"
        joined.write_bytes(parts["sd"].read_bytes() + parts[name].read_bytes())
    hd, hdr = tmp_path / "joined_hd.264", tmp_path / "joined_hdr.264"
    summary = convert(hd, tmp_path / "out.mp4", background="#00b140", model=brightness_model)
    assert any("its colour space changes; 10 frames" in note for note in summary.notes)
    with pytest.raises(UserError, match="HDR"):
        convert(hdr, tmp_path / "no.mp4", background="#00b140", model=brightness_model)
    assert not (tmp_path / "no.mp4").exists()
