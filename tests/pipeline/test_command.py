"""The command as a user starts it: what it says, what it leaves, how it exits."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from clips import Planes, hopping, packets, read_video, write_video
from commands import Finished, command_line, run_command

from seg_stream.engines.model_info import ModelInfo
from seg_stream.pipeline.command import main

LOOSE = re.compile(r"\.part|Traceback")


@pytest.fixture(scope="module")
def shelf(
    tmp_path_factory: pytest.TempPathFactory,
    write_model: Callable[..., Path],
    brightness_model: Path,
    photograph: Path,
) -> Path:
    """A folder with good and bad inputs, backgrounds and models, that nobody writes to."""
    shelf = tmp_path_factory.mktemp("shelf")
    write_video(shelf / "clip.mp4", [hopping(i) for i in range(5)])
    (shelf / "text.mp4").write_text("this is no video")
    (shelf / "empty.mp4").touch()
    (shelf / "text.jpg").write_text("this is no picture")
    (shelf / "empty.png").touch()
    (shelf / "photograph.png").write_bytes(photograph.read_bytes())
    (shelf / "no pictures").mkdir()
    (shelf / "no pictures" / "notes.txt").touch()
    (shelf / "pictures").mkdir()
    (shelf / "pictures" / "one.png").write_bytes(photograph.read_bytes())
    _write_sound(shelf / "sound.mp4")
    (shelf / "model.onnx").write_bytes(brightness_model.read_bytes())
    (shelf / "text.onnx").write_text("this is no model")
    (shelf / "empty.onnx").touch()
    write_model(shelf / "grey.onnx", shape=(1, 1, 96, 96))
    write_model(shelf / "flexible.onnx", shape=("batch", 3, "height", "width"))
    write_model(shelf / "bytes.onnx", input_type=2)
    write_model(shelf / "silent.onnx", describe=False)
    write_model(shelf / "one_channel.onnx", info=ModelInfo(name="x", output_channel=1))
    for name in ("torn", "odd", "wrong"):
        write_model(shelf / f"{name}.onnx", describe=False)
    (shelf / "torn.toml").write_text("name = [unfinished")
    (shelf / "odd.toml").write_text('name = "odd"\ninput_size = 3\n')
    (shelf / "wrong.toml").write_text('name = "wrong"\ninput_colour = "CMYK"\n')
    return shelf


def _write_sound(path: Path) -> None:
    import av

    with_both = write_video(
        path.with_name("both.mp4"), [hopping(0)], sound=(Fraction(0), Fraction(1, 5))
    )
    with av.open(str(with_both)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)


def on_shelf(shelf: Path, arguments: tuple[str, ...]) -> list[str]:
    """`{s}` replaced by the shelf; the model is the brightness model if none is named."""
    words = [argument.replace("{s}", str(shelf)) for argument in arguments]
    return words if "--model" in words else [*words, "--model", str(shelf / "model.onnx")]


def run_on_shelf(shelf: Path, folder: Path, *arguments: str, **options: Any) -> Finished:
    """Run in a process of its own."""
    return run_command(*on_shelf(shelf, arguments), cwd=folder, **options)


RunHere = Callable[..., Finished]


@pytest.fixture
def run_here(
    shelf: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> RunHere:
    """Run in this process, where everything is loaded, with what libraries say caught as well."""

    def run(*arguments: str) -> Finished:
        words = ["seg-stream", *on_shelf(shelf, arguments)]
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        said = capfd.readouterr()
        code = ended.value.code
        return Finished(words, code if isinstance(code, int) else 0, said.out, said.err)

    return run


def test_a_closed_standard_error_neither_crashes_nor_spoils_the_json(
    shelf: Path, tmp_path: Path
) -> None:
    words = on_shelf(shelf, ("--input", "{s}/clip.mp4", "--output", "out.mp4", "--json"))
    for arguments, code in ((words, 0), (["--input", "nothing.mp4", "--json"], 2)):
        result = subprocess.run(
            ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-m", "seg_stream.pipeline.entry",
             *arguments],
            cwd=tmp_path, stdout=subprocess.PIPE, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert result.returncode == code
        assert "Error" not in result.stdout
        assert code or json.loads(result.stdout)["frames"] > 0


def assert_one_sentence(result: Finished, *names: str, code: int = 2) -> None:
    """One `Error:` line that names the thing, and nothing else."""
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("Error: ")
    assert lines[0].endswith((".", "?"))
    for name in names:
        assert name in lines[0]
    assert result.stdout == ""


CONVERT = ("--input", "{s}/clip.mp4", "--output", "out.mp4")

MISTAKES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # what is asked for, what the error has to name
    "neither camera nor input": ((), ("--camera", "--input")),
    "both camera and input": (("--camera", "0", *CONVERT), ("--camera", "--input")),
    "no output": (("--input", "{s}/clip.mp4"), ("--output",)),
    "missing input": (("--input", "none.mp4", "--output", "out.mp4"), ("none.mp4", "not exist")),
    "missing picture": (("--input", "none.png", "--output", "out.png"), ("none.png", "not exist")),
    "missing input in brackets": (
        ("--input", "[red]none[/].mp4", "--output", "out.mp4"),
        ("[red]none[/].mp4",),
    ),
    "name too long": (("--input", "n" * 300, "--output", "out.mp4"), ("nnn", "too long")),
    "text called .mp4": (("--input", "{s}/text.mp4", "--output", "out.mp4"), ("text.mp4",)),
    "empty video": (("--input", "{s}/empty.mp4", "--output", "out.mp4"), ("empty.mp4",)),
    "text called .jpg": (("--input", "{s}/text.jpg", "--output", "out.jpg"), ("text.jpg",)),
    "empty picture": (("--input", "{s}/empty.png", "--output", "out.png"), ("empty.png",)),
    "sound without picture": (
        ("--input", "{s}/sound.mp4", "--output", "out.mp4"),
        ("sound.mp4", "no video"),
    ),
    "folder without pictures": (
        ("--input", "{s}/no pictures", "--output", "out"),
        ("no pictures has no pictures",),
    ),
    "no such camera": (("--camera", "9"), ("Camera 9",)),
    "negative camera": (("--camera", "-1"), ("Camera -1",)),
    "missing background": ((*CONVERT, "--bg", "none.jpg"), ("none.jpg", "not exist")),
    "background is text called .jpg": ((*CONVERT, "--bg", "{s}/text.jpg"), ("text.jpg",)),
    "background is text called .mp4": ((*CONVERT, "--bg", "{s}/text.mp4"), ("text.mp4",)),
    "background is a folder": ((*CONVERT, "--bg", "{s}/pictures"), ("pictures",)),
    "background name too long": ((*CONVERT, "--bg", "n" * 300), ("nnn", "too long")),
    "colour with five digits": ((*CONVERT, "--bg", "#12345"), ("#12345", "#rrggbb")),
    "colour with wrong digits": ((*CONVERT, "--bg", "#12345g"), ("#12345g", "#rrggbb")),
    "empty background": ((*CONVERT, "--bg", ""), ("background",)),
    "unknown engine": ((*CONVERT, "--engine", "abacus"), ("abacus", "onnxruntime")),
    "missing model": ((*CONVERT, "--model", "none.onnx"), ("none.onnx",)),
    "model is a folder": ((*CONVERT, "--model", "{s}/pictures"), ("pictures",)),
    "text called .onnx": ((*CONVERT, "--model", "{s}/text.onnx"), ("text.onnx",)),
    "empty model": ((*CONVERT, "--model", "{s}/empty.onnx"), ("empty.onnx",)),
    "model with grey input": ((*CONVERT, "--model", "{s}/grey.onnx"), ("grey.onnx", "96, 96]")),
    "model of any size": (
        (*CONVERT, "--model", "{s}/flexible.onnx"),
        ("flexible.onnx", "['batch', 3, 'height', 'width']"),
    ),
    "model of bytes": ((*CONVERT, "--model", "{s}/bytes.onnx"), ("bytes.onnx", "uint8")),
    "model without description": ((*CONVERT, "--model", "{s}/silent.onnx"), ("silent.onnx",)),
    "model without the channel": ((*CONVERT, "--model", "{s}/one_channel.onnx"), ("channel 1",)),
    "malformed TOML": ((*CONVERT, "--model", "{s}/torn.onnx"), ("torn.onnx", "malformed")),
    "unknown key in TOML": (
        (*CONVERT, "--model", "{s}/odd.onnx"),
        ("odd.onnx", "input_size:"),
    ),
    "wrong value in TOML": (
        (*CONVERT, "--model", "{s}/wrong.onnx"),
        ("wrong.onnx", "input_colour:"),
    ),
    "missing output folder": (
        ("--input", "{s}/clip.mp4", "--output", "none/out.mp4"),
        ("none", "not exist"),
    ),
    "output is a folder": (("--input", "{s}/clip.mp4", "--output", "folder.mp4"), ("folder.mp4",)),
    "output exists": (("--input", "{s}/clip.mp4", "--output", "old.mp4"), ("old.mp4", "overwrite")),
    "output picture exists": (
        ("--input", "{s}/photograph.png", "--output", "old.png"),
        ("old.png", "overwrite"),
    ),
    "output of unknown kind": (("--input", "{s}/clip.mp4", "--output", "out.xyz"), (".xyz",)),
    "output without kind": (("--input", "{s}/clip.mp4", "--output", "out"), ("out", ".mp4")),
    "picture from video": (("--input", "{s}/clip.mp4", "--output", "out.png"), ("out.png",)),
    "video from picture": (("--input", "{s}/photograph.png", "--output", "out.mp4"), ("out.mp4",)),
    "file from folder": (("--input", "{s}/pictures", "--output", "out.png"), ("out.png", "folder")),
    "folder in a file": (("--input", "{s}/pictures", "--output", "old.mp4/out"), ("old.mp4",)),
    "folder that is a file": (("--input", "{s}/pictures", "--output", "plain"), ("plain",)),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_in_one_sentence(
    name: str, run_here: RunHere, tmp_path: Path
) -> None:
    (tmp_path / "old.mp4").write_bytes(b"old")
    (tmp_path / "old.png").write_bytes(b"old")
    (tmp_path / "plain").write_bytes(b"old")
    (tmp_path / "folder.mp4").mkdir()
    there = sorted(tmp_path.rglob("*"))
    arguments, names = MISTAKES[name]
    assert_one_sentence(run_here(*arguments), *names)
    assert sorted(tmp_path.rglob("*")) == there
    for path in there:
        assert path.is_dir() or path.read_bytes() == b"old"


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
@pytest.mark.parametrize("name", ["clip.mp4", "photograph.png", "pictures"])
def test_the_input_is_never_the_output(
    name: str, overwrite: tuple[str, ...], run_here: RunHere, shelf: Path, tmp_path: Path
) -> None:
    link = tmp_path / name
    link.symlink_to(shelf / name)
    result = run_here("--input", f"{{s}}/{name}", "--output", name, *overwrite)
    assert_one_sentence(result, name, "input itself")
    assert link.is_symlink()


@pytest.mark.parametrize("name", ["clip.mp4", "photograph.png", "pictures"])
def test_what_may_not_be_read_is_said(name: str, shelf: Path, tmp_path: Path) -> None:
    locked = tmp_path / name
    if (shelf / name).is_dir():
        locked.mkdir(0o300)
    else:
        locked.write_bytes((shelf / name).read_bytes())
        locked.chmod(0)
    arguments = ("--input", name, "--output", "out" + locked.suffix)
    try:
        result = run_on_shelf(shelf, tmp_path, *arguments, before=without_privileges)
    finally:
        locked.chmod(0o700)
    assert_one_sentence(result, name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("input", "output"),
    [("clip.mp4", "locked/out.mp4"), ("photograph.png", "locked/o.png"), ("pictures", "locked/o")],
)
def test_a_folder_that_may_not_be_written_is_said(
    input: str, output: str, shelf: Path, tmp_path: Path
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(0o500)
    result = run_on_shelf(
        shelf, tmp_path, "--input", f"{{s}}/{input}", "--output", output, before=without_privileges
    )
    assert_one_sentence(result, "locked")
    assert list(locked.iterdir()) == []


def without_privileges() -> None:
    """Take away what lets root read and write everything (CAP_DAC_OVERRIDE, _READ_SEARCH)."""
    if os.getuid() == 0:
        drop = 24  # PR_CAPBSET_DROP
        for capability in (1, 2):
            if ctypes.CDLL(None).prctl(drop, capability, 0, 0, 0):
                raise OSError("the privileges of root cannot be dropped here")


def test_a_damaged_shipped_model_is_our_mistake(
    run_here: RunHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1."""
    models = tmp_path / "models"
    models.mkdir()
    (models / "checksums.json").write_text('{"portrait-lite": "00"}')
    (models / "portrait-lite.onnx").write_bytes(b"spoilt")
    monkeypatch.setattr("seg_stream.engines.models.FOLDER", models)
    result = run_here(*CONVERT, "--model", "portrait-lite")
    assert_one_sentence(result, "portrait-lite.onnx", "damaged", code=1)
    assert not (tmp_path / "out.mp4").exists()


def test_a_cut_off_video_is_converted_and_the_loss_is_said(shelf: Path, tmp_path: Path) -> None:
    whole = write_video(
        tmp_path / "whole.mp4",
        [hopping(i) for i in range(100)],
        container_options={"movflags": "faststart"},
    )
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    result = run_on_shelf(shelf, tmp_path, "--input", "cut.mp4", "--output", "out.mp4")
    assert result.returncode == 0, result.stderr
    frames = len(read_video(tmp_path / "out.mp4"))
    assert 20 < frames < 80
    assert f"Note: cut.mp4: only {frames} of 100 frames" in " ".join(result.stderr.split())
    assert not LOOSE.search(result.stderr + " ".join(p.name for p in tmp_path.iterdir()))


@pytest.mark.parametrize(
    "name", ["plain.mp4", "[bold]odd[b] [x].mp4", "größer 大.mp4", "at-12:30.mp4", "50%d.mp4"]
)
def test_a_conversion_reports_what_it_did(name: str, run_here: RunHere, tmp_path: Path) -> None:
    write_video(tmp_path / name, [hopping(i) for i in range(5)])
    result = run_here("--input", name, "--output", f"out-{name}", "--bg", "#00b140")
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert re.match(r"5 frames, \d+\.\d fps, ms a frame: read \d", line)
    assert "ONNX Runtime" in line
    assert line.endswith(f"-> out-{name}")
    assert len(read_video(tmp_path / f"out-{name}")) == 5


def test_overwrite_replaces_the_old_output(run_here: RunHere, tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"old")
    result = run_here(*CONVERT, "--overwrite")
    assert result.returncode == 0, result.stderr
    assert len(read_video(tmp_path / "out.mp4")) == 5


def test_a_described_model_is_taken_from_the_file_beside_it(
    run_here: RunHere, shelf: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.onnx").write_bytes((shelf / "silent.onnx").read_bytes())
    (tmp_path / "mine.toml").write_text('name = "mine"\n')
    result = run_here(*CONVERT, "--model", "mine.onnx")
    assert result.returncode == 0, result.stderr


def test_help_and_version_say_what_there_is(tmp_path: Path) -> None:
    help = run_command("--help", cwd=tmp_path)
    assert help.returncode == 0
    for option in ("--camera", "--input", "--output", "--bg", "--model", "--engine", "--overwrite"):
        assert option in help.stdout
    version = run_command("--version", cwd=tmp_path)
    assert re.fullmatch(r"seg-stream \d+\.\d+\.\d+\n", version.stdout)
    script = Path(sys.executable).with_name("seg-stream")
    if script.exists():  # not where the package is only on the path
        same = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
        assert same.stdout == version.stdout


FRAMES = 1500


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute, with sound."""
    rng = np.random.default_rng(3)

    def grainy(index: int) -> Planes:
        planes = hopping(index, width=192, height=128)
        planes[0][planes[0] > 128] += rng.integers(-30, 30, 32 * 32, np.int8).view(np.uint8)
        return planes

    pictures = (grainy(i) for i in range(FRAMES))
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    return write_video(path, pictures, sound=(Fraction(0), Fraction(FRAMES, 25)))


def start(shelf: Path, clip: Path, output: Path) -> subprocess.Popen[str]:
    """Start a conversion."""
    return subprocess.Popen(
        command_line("--input", clip, "--output", output, "--model", shelf / "model.onnx"),
        stderr=subprocess.PIPE,
        text=True,
    )


def start_and_wait_for_output(shelf: Path, clip: Path, output: Path) -> subprocess.Popen[str]:
    """Start a conversion; return once it has written some frames."""
    process = start(shelf, clip, output)
    give_up_s = time.monotonic() + 90
    while time.monotonic() < give_up_s and process.poll() is None:
        if any(part.stat().st_size > 2000 for part in output.parent.glob(".*.part*")):
            return process
        time.sleep(0.01)
    process.kill()
    raise AssertionError(f"no frame was written: {process.communicate()[1]}")


@pytest.mark.parametrize(
    ("number", "suffix"),
    [
        (signal.SIGTERM, ".mp4"),
        (signal.SIGINT, ".mp4"),
        (signal.SIGTERM, ".mkv"),
        (signal.SIGINT, ".webm"),
    ],
)
def test_a_signal_finishes_the_output_early(
    number: signal.Signals, suffix: str, shelf: Path, long_clip: Path, tmp_path: Path
) -> None:
    output = tmp_path / f"out{suffix}"
    process = start_and_wait_for_output(shelf, long_clip, output)
    process.send_signal(number)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 128 + number, said
    assert "Stopped early" in said
    assert not LOOSE.search(said)
    shown = read_video(output)
    assert 10 <= len(shown) < FRAMES
    assert shown[0].time_s == 0 or suffix == ".mkv"
    if suffix != ".webm":
        end_s = packets(output, "audio")[-1][0]
        assert abs(end_s - shown[-1].time_s) < 0.5, "the sound goes on without a picture"
    assert list(tmp_path.iterdir()) == [output]


def test_a_signal_before_the_first_frame_leaves_nothing_broken(
    shelf: Path, long_clip: Path, tmp_path: Path
) -> None:
    """As early as it can come; whether a frame was read by then or not."""
    output = tmp_path / "out.mp4"
    process = start(shelf, long_clip, output)
    while not any(tmp_path.iterdir()) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 128 + signal.SIGTERM, said
    assert "Error" not in said
    if output.exists():
        assert len(read_video(output)) < FRAMES
    else:
        assert "was not written" in said
    assert set(tmp_path.iterdir()) <= {output}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_ctrl_c_while_it_is_loaded_ends_it_without_a_traceback() -> None:
    """Python names each module on stderr once it is imported; the last is long to come."""
    words = [sys.executable, "-X", "importtime", "-m", "seg_stream.pipeline.entry", "--version"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        while "numpy" not in (line := process.stderr.readline()):
            assert line, "it was loaded without numpy"
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == -signal.SIGINT
    assert "Traceback" not in rest


def test_a_second_signal_gives_up_and_leaves_nothing(
    shelf: Path, long_clip: Path, tmp_path: Path
) -> None:
    process = start_and_wait_for_output(shelf, long_clip, tmp_path / "out.mp4")
    # Stopped, so that both are waiting when it goes on.
    process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    said = process.communicate(timeout=30)[1]
    assert process.returncode in (1, 130, 143), said
    assert "Stopping ... once more aborts at once." in said
    assert "Aborted; what was not whole is thrown away." in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_pictures_of_a_folder_are_converted_and_a_bad_one_is_named(
    shelf: Path, tmp_path: Path, photograph: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "b.jpg", "d.PNG"):
        image = cv2.imread(str(photograph))
        assert image is not None
        cv2.imwrite(str(folder / name), np.roll(image, 5, axis=1))
    (folder / "c.jpg").write_bytes((folder / "b.jpg").read_bytes()[:40])
    (folder / "notes.txt").write_text("not a picture, and not called one")
    result = run_on_shelf(
        shelf, tmp_path, "--input", "in", "--output", "new/out", "--bg", "#00b140"
    )
    assert result.returncode == 0, result.stderr
    assert "Note: in/c.jpg cannot be read as a picture" in result.stderr
    assert "3 frames" in result.stderr
    written = sorted((tmp_path / "new" / "out").iterdir())
    assert [path.name for path in written] == ["a.png", "b.jpg", "d.PNG"]
    for path in written:
        image = cv2.imread(str(path))
        assert image is not None
        assert image.shape == (120, 160, 3)
        assert np.abs(image[5, 5].astype(int) - (0x40, 0xB1, 0)).max() <= 3
        assert np.abs(image[60, 85].astype(int) - (150, 190, 240)).max() <= 3


def test_a_folder_of_nothing_but_bad_pictures_is_a_mistake(
    run_here: RunHere, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_text("no")
    result = run_here("--input", "in", "--output", "out")
    assert_one_sentence(result, "in", "picture")


def test_a_very_large_picture_and_a_very_small_one(run_here: RunHere, tmp_path: Path) -> None:
    for width, height in ((1, 1), (3, 2), (5000, 20)):
        name = f"{width}.png"
        cv2.imwrite(str(tmp_path / name), np.full((height, width, 3), 20, np.uint8))
        result = run_here("--input", name, "--output", f"out{name}", "--bg", "#00b140")
        assert result.returncode == 0, result.stderr
        image = cv2.imread(str(tmp_path / f"out{name}"))
        assert image is not None
        assert (image == (0x40, 0xB1, 0)).all()


def test_the_clip_on_the_shelf_is_good(shelf: Path, tmp_path: Path) -> None:
    """The mistakes above are found for what they are, not because nothing works."""
    result = run_on_shelf(shelf, tmp_path, *CONVERT)
    assert result.returncode == 0, result.stderr
    assert len(read_video(tmp_path / "out.mp4")) == 5
