"""Damaged videos end as a video or as one sentence; and whoever watches over that is not blind."""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from clips import hopping, person_in_room, write_video

from seg_stream.benchmarks import damage
from seg_stream.benchmarks.damage import Result, Worker, examine, make_sources, trials
from seg_stream.pipeline import SegStreamError, Summary, UserError, convert
from seg_stream.pipeline.runner import RunReport, StageError


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    write_video(folder / "hopping.mp4", [hopping(i) for i in range(12)])
    write_video(folder / "standing.mkv", [person_in_room()] * 12)
    return folder


@pytest.fixture(scope="module")
def sources(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_sources(sorted(clips.iterdir()), tmp_path_factory.mktemp("sources"))


def test_a_damaged_video_becomes_a_video_or_one_sentence(
    sources: list[Path], brightness_model: Path
) -> None:
    converter = partial(convert, background="#00b140", model=brightness_model)
    done = list(trials(sources, range(40), converter, seed=1))
    assert [trial for trial in done if not trial.allowed] == []
    assert {trial.result.outcome for trial in done} >= {"converted", "refused"}
    assert len({trial.damage for trial in done}) > len(damage.DAMAGES) / 2


def test_a_header_that_promises_months_does_not_keep_anybody_waiting(
    sources: list[Path], brightness_model: Path, tmp_path: Path
) -> None:
    """Twelve frames are in the file, whatever Matroska's element 0x4489, its length in ms, says."""
    data = bytearray(next(path for path in sources if path.suffix == ".mkv").read_bytes())
    place = data.index(b"\x44\x89\x88") + 3
    assert struct.unpack_from(">d", data, place) == (2000.0,)
    struct.pack_into(">d", data, place, 1e10)
    (tmp_path / "long.mkv").write_bytes(data)
    converter = partial(convert, background="#00b140", model=brightness_model)
    (tmp_path / "results").mkdir()
    with closing(Worker(converter, 10.0)) as worker:
        result = worker.examine(tmp_path / "long.mkv", tmp_path / "results" / "out.mp4")
    assert result.outcome == "converted", result.words


# What a conversion must not do, and one that it may.


def report(items: int) -> Summary:
    return Summary(RunReport(items=items), "none")


def well(_input: Path, output: Path) -> Summary:
    write_video(output, [hopping(i) for i in range(3)])
    return report(3)


def short(_input: Path, output: Path) -> Summary:
    write_video(output, [hopping(i) for i in range(3)])
    return report(4)


def garbled(_input: Path, output: Path) -> Summary:
    output.write_bytes(b"no video")
    return report(3)


def forgetful(_input: Path, _output: Path) -> Summary:
    return report(3)


def untidy(input: Path, output: Path) -> Summary:
    (output.parent / ".1234.part.mp4").touch()
    return well(input, output)


def untidy_when_it_fails(_input: Path, output: Path) -> Summary:
    (output.parent / ".parts").mkdir()
    raise UserError("It cannot be read.")


def half_written(_input: Path, output: Path) -> Summary:
    output.touch()
    raise SegStreamError("It cannot be written.")


def surprised(_input: Path, _output: Path) -> Summary:
    raise ValueError("planted")


def surprised_in_a_stage(_input: Path, _output: Path) -> Summary:
    raise StageError("The read stage failed: ValueError: planted.")


def silent(_input: Path, _output: Path) -> Summary:
    raise UserError("")


def talkative(_input: Path, _output: Path) -> Summary:
    raise UserError("It is broken. Get another one.")


def dying(input: Path, output: Path) -> Summary:
    os.kill(os.getpid(), signal.SIGSEGV)
    return well(input, output)


def stuck(input: Path, output: Path) -> Summary:
    time.sleep(600)
    return well(input, output)


@pytest.mark.parametrize(
    ("converter", "outcome"),
    [
        (well, "converted"),
        (short, "frames lost"),
        (garbled, "unreadable"),
        (forgetful, "unreadable"),
        (untidy, "left behind"),
        (untidy_when_it_fails, "left behind"),
        (half_written, "left behind"),
        (surprised, "exception"),
        (surprised_in_a_stage, "exception"),
        (silent, "no sentence"),
        (talkative, "no sentence"),
    ],
)
def test_a_violation_is_noticed(converter: damage.Converter, outcome: str, tmp_path: Path) -> None:
    result = examine(tmp_path / "in.mp4", tmp_path / "out.mp4", converter)
    assert result.outcome == outcome, result.words


def first_ill_then_well(input: Path, output: Path) -> Summary:
    return {"dying": dying, "stuck": stuck, "well": well}[input.stem](input, output)


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker(first_ill_then_well, 3.0)
    yield worker
    worker.close()


def test_a_crash_and_a_hang_are_noticed_and_survived(worker: Worker, tmp_path: Path) -> None:
    for name, outcome in (("dying", "crash"), ("stuck", "hang"), ("well", "converted")):
        result = worker.examine(tmp_path / name, tmp_path / "out.mp4")
        assert result.outcome == outcome, result.words


def test_a_violation_is_kept_and_made_again_by_its_number(
    sources: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "again").mkdir()
    done = list(trials(sources, range(6), surprised, seed=7, keep=tmp_path / "first"))
    assert {trial.result for trial in done} == {Result("exception", "ValueError: planted")}
    again = list(trials(sources, [4], surprised, seed=7, keep=tmp_path / "again"))
    assert again == [done[4]]
    (kept,) = (tmp_path / "again").iterdir()
    assert kept.read_bytes() == (tmp_path / "first" / kept.name).read_bytes()
    assert len(list((tmp_path / "first").iterdir())) == 6


@pytest.mark.parametrize(("model", "code"), [(None, 0), ("none.onnx", 1)])
def test_the_command_ends_as_its_trials_did(
    model: str | None,
    code: int,
    clips: Path,
    brightness_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Without a model even whole files are refused."""
    monkeypatch.setattr(damage, "DAMAGES", {damage.WHOLE: damage.DAMAGES[damage.WHOLE]})
    found = tmp_path / "report.json"
    arguments = ["--clips", clips, "--count", 3, "--jobs", 1, "--report", found]
    arguments += ["--model", model or brightness_model]
    monkeypatch.setattr(sys, "argv", ["damage", *map(str, arguments)])
    assert damage.main() == code
    outcomes = [trial["result"]["outcome"] for trial in json.loads(found.read_text())["trials"]]
    assert outcomes == ["refused though whole" if code else "converted"] * 3
    assert ("--seed 1 --only 2: " in capfd.readouterr().err) == bool(code)
