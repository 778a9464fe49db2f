"""Long videos are made in segments: the result is the same, and a kill loses nothing."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any

import av
import numpy as np
import pytest
from clips import (
    Shown,
    hopping,
    packets,
    person_in_room,
    read_video,
    solid,
    write_video,
)
from commands import command_line, run_command

from seg_stream.pipeline import SegStreamError, Summary, UserError, convert
from seg_stream.pipeline.errors import Stopped
from seg_stream.pipeline.sinks.encoding import Encoding
from seg_stream.pipeline.sources.trim import parse_trim
from seg_stream.pipeline.work_folder import WorkFolder

GREEN = "#00b140"
RATE = 25
NEAR = 6
"""Steps of 255 by which two encodings of a flat picture may differ on average."""

MS = Fraction(1, 1000)


def long_clip(path: Path, seconds: int = 7, **options: object) -> Path:
    """A person who moves about, and a tone."""
    pictures = [hopping(i // 5) for i in range(seconds * RATE)]
    options = {"sound": (Fraction(0), Fraction(seconds)), **options}
    return write_video(path, pictures, rate=RATE, **options)  # type: ignore[arg-type]


def differ(one: list[Shown], other: list[Shown]) -> float:
    """The largest mean difference of two videos' pictures; they have the same times."""
    assert [shown.time_s for shown in one] == [shown.time_s for shown in other]
    return max(
        float(np.abs(a.bgr().astype(int) - b.bgr()).mean()) for a, b in zip(one, other, strict=True)
    )


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def stop_midway(clip: Path, output: Path, **options: Any) -> None:
    """Convert with --resume and stop in the third of the segments of two seconds."""
    stop = Event()
    with pytest.raises(Stopped, match="--resume goes on"):
        convert(
            clip, output, stop=stop,
            progress=lambda report, _: stop.set() if report.items > 120 else None, **options,
        )  # fmt: skip


IRREGULAR = [i * 40 + (i * 7919) % 23 for i in range(7 * RATE)]

CASES: dict[str, dict[str, object]] = {
    "as it is": {},
    "B frames": {"options": {"preset": "fast", "bf": "3", "crf": "12", "g": "70"}},
    "variable rate": {"times": IRREGULAR, "time_base": MS},
    "begins late": {"times": [60 + i for i in range(7 * RATE)]},
    "open groups": {"options": {"preset": "fast", "x264-params": "open-gop=1:keyint=40:bframes=3"}},
}


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("name", CASES)
def test_in_segments_a_video_is_the_same_as_in_one_piece(
    name: str, suffix: str, brightness_model: Path, tmp_path: Path
) -> None:
    silent = {"sound": None} if suffix == ".webm" else {}  # it cannot hold AAC
    clip = long_clip(tmp_path / "clip.mp4", **CASES[name], **silent)
    results = []
    for segment_s in (0, 2):
        output = tmp_path / f"{segment_s}{suffix}"
        summary = convert(
            clip, output, background=GREEN, model=brightness_model, segment_s=segment_s
        )
        assert (summary.frames, summary.notes) == (7 * RATE, [])
        results.append(output)
    whole, joined = results
    if not silent:
        assert packets(whole, "audio") == packets(joined, "audio") != []
    assert differ(read_video(whole), read_video(joined)) < NEAR
    assert left_over(tmp_path) == []


@pytest.mark.parametrize(
    ("suffix", "background"), [(".mov", "transparent"), (".webm", "transparent"), (".mkv", GREEN)]
)
def test_matte_and_transparency_are_joined_too(
    suffix: str, background: str, brightness_model: Path, tmp_path: Path
) -> None:
    clip = long_clip(tmp_path / "clip.mp4")
    for segment_s in (0, 2):
        convert(
            clip,
            tmp_path / f"{segment_s}{suffix}",
            background=background,
            model=brightness_model,
            matte_output=tmp_path / f"matte{segment_s}.mp4",
            segment_s=segment_s,
        )
    for name in (f"{{}}{suffix}", "matte{}.mp4"):
        whole, joined = (tmp_path / name.format(segment_s) for segment_s in (0, 2))
        assert differ(read_video(whole), read_video(joined)) < NEAR
    with av.open(str(tmp_path / f"0{suffix}")) as one, av.open(str(tmp_path / f"2{suffix}")) as two:
        for before, after in zip(one.streams, two.streams, strict=True):
            assert before.codec_context.name == after.codec_context.name
            assert getattr(before, "pix_fmt", "") == getattr(after, "pix_fmt", "")
        tags = [dict(c.streams.video[0].metadata) for c in (one, two)]
        assert ("alpha_mode" in str(tags[0]).lower()) == ("alpha_mode" in str(tags[1]).lower())


def test_a_trim_is_cut_into_segments_too(brightness_model: Path, tmp_path: Path) -> None:
    clip = long_clip(tmp_path / "clip.mp4", options={"preset": "fast", "g": "60", "crf": "12"})
    trim = parse_trim("1.3-6.1")
    for segment_s in (0, 2):
        convert(
            clip, tmp_path / f"{segment_s}.mp4", background=GREEN, model=brightness_model,
            trim=trim, segment_s=segment_s,
        )  # fmt: skip
    whole, joined = tmp_path / "0.mp4", tmp_path / "2.mp4"
    assert differ(read_video(whole), read_video(joined)) < NEAR
    assert packets(whole, "audio") == packets(joined, "audio")


def test_a_background_video_goes_on_across_segments(brightness_model: Path, tmp_path: Path) -> None:
    """It is 3 s long, every frame of another brightness: the joined one shows the same ones."""
    clip = write_video(tmp_path / "clip.mp4", [person_in_room()] * (7 * RATE), rate=RATE)
    levels = [solid("yuv420p", 96, 64, (40 + 2 * i, 128, 128)) for i in range(3 * RATE)]
    room = write_video(tmp_path / "room.mp4", levels, rate=RATE)
    shown = []
    for segment_s in (0, 2):
        output = tmp_path / f"{segment_s}.mp4"
        convert(clip, output, background=room, model=brightness_model, segment_s=segment_s)
        shown.append([int(one.planes[0][2, 2]) for one in read_video(output)])
    assert len(set(shown[0])) > 50, "the background does not move"
    assert np.abs(np.subtract(*shown)).max() <= 2


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_stopped_conversion_is_resumed(
    suffix: str, brightness_model: Path, tmp_path: Path
) -> None:
    clip, output = long_clip(tmp_path / "clip.mp4"), tmp_path / f"out{suffix}"
    options = {"background": GREEN, "model": brightness_model, "segment_s": 2}
    stop_midway(clip, output, resume=True, **options)
    assert not output.exists()
    summary = convert(clip, output, resume=True, **options)
    assert summary.resumed == 100
    assert summary.frames == 7 * RATE
    at_once = tmp_path / f"at_once{suffix}"
    convert(clip, at_once, **options)
    assert output.read_bytes() == at_once.read_bytes()
    assert left_over(tmp_path) == []


def test_without_resume_a_stopped_conversion_leaves_what_it_has_read(
    brightness_model: Path, tmp_path: Path
) -> None:
    clip, output = long_clip(tmp_path / "clip.mp4"), tmp_path / "out.mp4"
    stop = Event()
    summary = convert(
        clip, output, background=GREEN, model=brightness_model, segment_s=2, stop=stop,
        progress=lambda report, _: stop.set() if report.items > 120 else None,
    )  # fmt: skip
    shown = read_video(output)
    assert summary.stopped
    assert 121 <= summary.frames == len(shown) < 7 * RATE
    assert [one.time_s for one in shown] == [Fraction(i, RATE) for i in range(len(shown))]
    assert abs(packets(output, "audio")[-1][0] - shown[-1].time_s) < Fraction(1, 5)
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("what", ["background", "input"])
def test_what_was_done_for_something_else_is_not_used(
    what: str, brightness_model: Path, tmp_path: Path
) -> None:
    clip, output = long_clip(tmp_path / "clip.mp4"), tmp_path / "out.mp4"

    def run(background: str, stop_at: int | None, resume: bool = True) -> Summary:
        stop = Event()
        return convert(
            clip, output, background=background, model=brightness_model, segment_s=2, resume=resume,
            stop=stop, progress=lambda report, _: stop.set() if report.items == stop_at else None,
        )  # fmt: skip

    with pytest.raises(Stopped):
        run(GREEN, 120)
    if what == "input":
        long_clip(clip, 6)
    changed = "#0000ff" if what == "background" else GREEN
    with pytest.raises(UserError, match=rf"something else \(.*{what}.*leave --resume out"):
        run(changed, None)
    summary = run(changed, None, resume=False)
    assert summary.resumed == 0
    assert len(read_video(output)) == (7 if what == "background" else 6) * RATE
    assert left_over(tmp_path) == []


def test_a_source_that_changes_meanwhile_is_an_error(
    brightness_model: Path, tmp_path: Path
) -> None:
    clip, output = long_clip(tmp_path / "clip.mp4"), tmp_path / "out.mp4"

    def grow(*_: object) -> None:
        with clip.open("ab") as file:
            file.write(b"\0")

    with pytest.raises(SegStreamError, match=r"changed while.*run it again\.$"):
        convert(clip, output, background=GREEN, model=brightness_model, segment_s=2, progress=grow)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_source_that_vanishes_leaves_what_is_done(brightness_model: Path, tmp_path: Path) -> None:
    clip, output = long_clip(tmp_path / "clip.mp4"), tmp_path / "out.mp4"
    aside = tmp_path / "aside.mp4"

    def vanish(report: object, _: object) -> None:
        if getattr(report, "items", 0) == 80:
            clip.rename(aside)

    options = {"background": GREEN, "model": brightness_model, "segment_s": 2}
    with pytest.raises(UserError, match=r"does not exist.*add --resume"):
        convert(clip, output, progress=vanish, **options)
    assert not output.exists()
    aside.rename(clip)
    assert convert(clip, output, resume=True, **options).resumed == 100
    assert len(read_video(output)) == 7 * RATE


def test_a_torn_video_is_converted_as_far_as_it_goes(
    brightness_model: Path, tmp_path: Path
) -> None:
    clip = long_clip(tmp_path / "clip.mp4", container_options={"movflags": "faststart"})
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 6 // 10])
    output = tmp_path / "out.mp4"
    summary = convert(clip, output, background=GREEN, model=brightness_model, segment_s=2)
    assert 50 < len(read_video(output)) == summary.frames < 7 * RATE
    assert any(f"of {7 * RATE} frames could be read" in note for note in summary.notes)


def test_two_at_once_do_not_meet(brightness_model: Path, tmp_path: Path) -> None:
    clip, output = long_clip(tmp_path / "clip.mp4"), tmp_path / "out.mp4"
    with (
        WorkFolder(output, "{}", keep=False),
        pytest.raises(UserError, match="written by another process"),
    ):
        convert(clip, output, background=GREEN, model=brightness_model, segment_s=2)


def test_a_link_in_the_place_of_the_work_folder_is_not_followed(
    brightness_model: Path, tmp_path: Path
) -> None:
    clip, output = long_clip(tmp_path / "clip.mp4"), tmp_path / "out.mp4"
    precious = tmp_path / "precious"
    (precious / "0123456789abcdef").mkdir(parents=True)
    (precious / "thesis.txt").write_text("mine")
    (tmp_path / ".out.mp4.segments").symlink_to(precious)
    with pytest.raises(UserError, match="is no folder of yours"):
        convert(clip, output, background=GREEN, model=brightness_model, segment_s=2)
    assert sorted(path.name for path in precious.iterdir()) == ["0123456789abcdef", "thesis.txt"]


@pytest.mark.parametrize("harm", ["empty", "zeros", "missing", "note", "fraction", "negative"])
def test_a_segment_that_was_harmed_is_made_again(
    harm: str, brightness_model: Path, tmp_path: Path
) -> None:
    clip, output = long_clip(tmp_path / "clip.mp4"), tmp_path / "out.mp4"
    options = {"background": GREEN, "model": brightness_model, "segment_s": 2, "resume": True}
    stop_midway(clip, output, **options)
    (piece,) = tmp_path.glob(".out.mp4.segments/*/000000.0.mp4")
    (note,) = tmp_path.glob(".out.mp4.segments/*/000000.json")
    text = note.read_text()
    if harm == "empty":
        piece.write_bytes(b"")
    elif harm == "zeros":
        data = piece.read_bytes()
        piece.write_bytes(data[:600] + bytes(300) + data[900:])
    elif harm == "missing":
        piece.unlink()
    elif harm == "note":
        note.write_text('{"frames":50}')
    elif harm == "fraction":
        note.write_text(text.replace('"1/12800"', '"1/0"'))
    else:
        note.write_text(text.replace('"frames":50', '"frames":-3'))
    assert text == "" or harm in ("empty", "zeros", "missing") or note.read_text() != text
    summary = convert(clip, output, **options)
    assert (summary.resumed, summary.frames) == (50, 7 * RATE)
    assert len(read_video(output)) == 7 * RATE


def test_a_refused_one_leaves_the_other_alone_and_no_lock(
    brightness_model: Path, tmp_path: Path
) -> None:
    clip, output = long_clip(tmp_path / "clip.mp4"), tmp_path / "out.mp4"
    options = {"background": GREEN, "model": brightness_model, "segment_s": 2, "resume": True}
    stop_midway(clip, output, **options)
    (note,) = tmp_path.glob(".out.mp4.segments/*/job.json")
    note.write_text("[]")
    for _ in range(2):
        with pytest.raises(UserError, match=r"something else \(unknown\)"):
            convert(clip, output, every=2, **options)
        assert left_over(tmp_path) == [".out.mp4.segments"]
    options |= {"resume": False, "segment_s": 0}
    convert(clip, output, **options)
    assert left_over(tmp_path) == []


def test_a_long_name_is_no_obstacle(brightness_model: Path, tmp_path: Path) -> None:
    clip, output = long_clip(tmp_path / "clip.mp4", 4), tmp_path / f"{'講' * 82}.mp4"
    convert(clip, output, background=GREEN, model=brightness_model, segment_s=2)
    assert len(read_video(output)) == 4 * RATE


def test_a_recording_that_does_not_say_how_long_it_is_has_segments_too(
    brightness_model: Path, tmp_path: Path
) -> None:
    clip = long_clip(tmp_path / "live.mkv", container_options={"live": "1"})
    options = {"background": GREEN, "model": brightness_model, "segment_s": 2, "resume": True}
    stop_midway(clip, tmp_path / "out.mp4", **options)
    summary = convert(clip, tmp_path / "out.mp4", **options)
    assert (summary.resumed, summary.frames) == (100, 7 * RATE)


def test_a_late_worker_of_another_conversion_does_not_meddle(tmp_path: Path) -> None:
    """What it writes goes where nobody looks."""
    one = WorkFolder(tmp_path / "out.mp4", '{"asked": 1}', keep=False)
    with one:
        (one.path / "000001.json").write_text("x")
        first = one.path
    with WorkFolder(tmp_path / "out.mp4", '{"asked": 2}', keep=False) as other:
        assert other.path != first
        assert not first.exists()


def test_stopped_before_the_first_frame_nothing_is_written(
    brightness_model: Path, tmp_path: Path
) -> None:
    clip, output = long_clip(tmp_path / "clip.mp4"), tmp_path / "out.mp4"
    stop = Event()
    stop.set()
    with pytest.raises(Stopped):
        convert(clip, output, model=brightness_model, segment_s=2, stop=stop)
    assert list(tmp_path.iterdir()) == [clip]


@pytest.mark.parametrize("codec", ["h264", "h265", "vp9", "av1", "ffv1"])
def test_a_joined_stream_is_described_like_a_whole_one(
    codec: str, brightness_model: Path, tmp_path: Path
) -> None:
    clip = long_clip(tmp_path / "clip.mp4", 5, aspect=Fraction(4, 3), colour=(1, 1, 1, 1))
    seen = []
    for segment_s in (0, 2):
        output = tmp_path / f"{segment_s}.mkv"
        convert(
            clip, output, background=GREEN, model=brightness_model, segment_s=segment_s,
            encoding=Encoding(codec=codec),
        )  # fmt: skip
        with av.open(str(output)) as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            seen.append(
                (
                    stream.average_rate, stream.base_rate, stream.sample_aspect_ratio,
                    context.colorspace, context.color_range, context.color_primaries,
                    context.color_trc, context.pix_fmt, context.codec_tag, context.name,
                )
            )  # fmt: skip
    assert seen[0] == seen[1]


@pytest.mark.parametrize("change", ["range", "format"])
def test_a_video_that_changes_midway_is_joined_all_the_same(
    change: str, brightness_model: Path, tmp_path: Path
) -> None:
    """Two raw streams in one Matroska file."""
    options = {"preset": "ultrafast", "bf": "0", "crf": "12"}
    other = {"colour": (6, 2, 6, 6)} if change == "range" else {}
    kind = "yuv444p" if change == "format" else "yuv420p"
    halves = [
        write_video(
            tmp_path / "a.264", [person_in_room()] * 75, options=options, colour=(6, 1, 6, 6)
        ),
        write_video(
            tmp_path / "b.264", [person_in_room(kind)] * 75, kind, options=options,
            **({"colour": (6, 1, 6, 6)} | other),
        ),
    ]  # fmt: skip
    clip = tmp_path / "clip.mkv"
    with av.open(str(clip), "w") as target:
        stream = None
        index = 0
        for half in halves:
            with av.open(str(half)) as source:
                stream = stream or target.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.size:
                        packet.pts = packet.dts = index * 40
                        packet.time_base = Fraction(1, 1000)
                        packet.stream = stream
                        target.mux(packet)
                        index += 1
    whole, joined = tmp_path / "0.mp4", tmp_path / "2.mp4"
    notes = [
        convert(clip, output, background=GREEN, model=brightness_model, segment_s=segment_s).notes
        for output, segment_s in ((whole, 0), (joined, 2))
    ]
    assert notes[0] == notes[1]
    assert ("its colour space changes; 75 frames" in str(notes[0])) == (change == "range")
    assert differ(read_video(whole), read_video(joined)) < NEAR


def test_an_output_in_the_way_is_named_before_the_work(
    brightness_model: Path, tmp_path: Path
) -> None:
    clip, output = long_clip(tmp_path / "clip.mp4"), tmp_path / "out.mp4"
    output.write_text("precious")
    with pytest.raises(UserError, match="exists already"):
        convert(
            clip, output, model=brightness_model, segment_s=2,
            progress=lambda *_: pytest.fail("it began"),
        )  # fmt: skip
    assert output.read_text() == "precious"
    assert left_over(tmp_path) == []


def test_killed_ten_times_and_resumed_every_frame_is_there_once(
    brightness_model: Path, tmp_path: Path
) -> None:
    seconds = 40
    clip, output = long_clip(tmp_path / "clip.mp4", seconds), tmp_path / "out.mp4"
    options = [
        "--input", clip, "--output", output, "--bg", GREEN, "--model", brightness_model,
        "--segment", "1", "--resume", "--json",
    ]  # fmt: skip
    rng = random.Random(5)
    work = tmp_path / ".out.mp4.segments"

    def done() -> int:
        return len(list(work.glob("*/0*.json")))

    for _ in range(10):
        process = subprocess.Popen(
            command_line(*options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        before = done()
        while process.poll() is None and done() <= before:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.15))
        process.kill()
        assert process.wait() == -signal.SIGKILL, "it ended before the kill"
        assert not output.exists()
    result = run_command(*options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["resumed"] >= 10 * RATE
    shown = read_video(output)
    assert [one.time_s for one in shown] == [Fraction(i, RATE) for i in range(seconds * RATE)]
    assert packets(output, "audio") == packets(clip, "audio")
    assert left_over(tmp_path) == []
