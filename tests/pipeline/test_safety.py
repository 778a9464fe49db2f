"""Nothing that was whole is lost, and nothing odd is taken for a video."""

from __future__ import annotations

import os
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import person_in_room, read_video, write_video

from seg_stream.pipeline import UserError, convert


def test_a_file_that_appears_during_the_run_is_kept(brightness_model: Path, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mkv", [person_in_room()] * 20)
    output = tmp_path / "out.mkv"

    def write_meanwhile(*_: object) -> None:
        output.write_text("precious")

    with pytest.raises(UserError, match="exists already"):
        convert(
            clip, output, background="#00b140", model=brightness_model, progress=write_meanwhile
        )
    assert output.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mkv", "out.mkv"]


def test_a_folders_own_pictures_are_never_written_through_a_link(
    brightness_model: Path, tmp_path: Path
) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    target.mkdir()
    cv2.imwrite(str(target / "a.png"), np.full((32, 32, 3), 200, np.uint8))
    before = (target / "a.png").read_bytes()
    (source / "a.png").symlink_to(target / "a.png")
    with pytest.raises(UserError, match="is the input itself"):
        convert(source, target, model=brightness_model, overwrite=True)
    assert (target / "a.png").read_bytes() == before


def test_the_background_is_not_overwritten(brightness_model: Path, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mkv", [person_in_room()] * 5)
    room = write_video(tmp_path / "room.mkv", [person_in_room()] * 5)
    before = room.read_bytes()
    with pytest.raises(UserError, match="or the background"):
        convert(clip, room, background=room, model=brightness_model, overwrite=True)
    assert room.read_bytes() == before


@pytest.mark.parametrize("shape", [(20000, 1, 3), (1, 20000, 3)])
def test_a_thin_background_fills_the_frame(
    shape: tuple[int, int, int], brightness_model: Path, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "strip.png"), np.full(shape, (10, 200, 30), np.uint8))
    clip = write_video(tmp_path / "clip.mkv", [person_in_room()] * 2)
    convert(clip, tmp_path / "o.mkv", background=tmp_path / "strip.png", model=brightness_model)
    corner = read_video(tmp_path / "o.mkv")[-1].bgr()[:8, :8].reshape(-1, 3)
    assert np.abs(corner.astype(int) - (10, 200, 30)).max() < 12


def test_a_pipe_and_a_playlist_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    clip = write_video(tmp_path / "clip.ts", [person_in_room()] * 5)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n"
    (tmp_path / "list.m3u8").write_text(playlist)
    for name, reason in (("pipe.mp4", "a device"), ("list.m3u8", "a playlist|not a video")):
        with pytest.raises(UserError, match=reason):
            convert(tmp_path / name, tmp_path / "out.mkv")


def test_a_cover_picture_is_not_the_video(brightness_model: Path, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", [person_in_room()] * 12)
    covered = tmp_path / "covered.mp4"
    with av.open(str(clip)) as source, av.open(str(covered), "w") as target:
        cover = target.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = 0x400  # attached picture
        video = target.add_stream_from_template(source.streams.video[0])
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "bgr24")
        for packet in (*cover.encode(picture.reformat(format="yuvj420p")), *cover.encode(None)):
            target.mux(packet)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = video
                target.mux(packet)
    summary = convert(covered, tmp_path / "out.mkv", background="#00b140", model=brightness_model)
    assert summary.run.items == 12


def test_a_song_with_a_cover_is_not_a_video(brightness_model: Path, tmp_path: Path) -> None:
    song = tmp_path / "song.mp3"
    with av.open(str(song), "w") as target:
        sound = target.add_stream("mp3", rate=44100, layout="mono")
        cover = target.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = 0x400  # attached picture
        picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), format="bgr24")
        samples = av.AudioFrame.from_ndarray(
            np.zeros((1, 1152), np.float32), format="fltp", layout="mono"
        )
        samples.sample_rate = 44100
        for packet in (*cover.encode(picture.reformat(format="yuvj420p")), *cover.encode(None)):
            target.mux(packet)
        for packet in (*sound.encode(samples), *sound.encode(None)):
            target.mux(packet)
    with pytest.raises(UserError, match="has no video stream"):
        convert(song, tmp_path / "out.mp4", background="#00b140", model=brightness_model)
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".mp4"] == []
