"""Every stage of the real pipeline fails in turn: the run ends, and nothing is left behind."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import hopping, read_video, write_video
from commands import run_command

from seg_stream.pipeline import SegStreamError, Summary, UserError, VirtualBackground, convert
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.outputs import SinkOptions, open_sink
from seg_stream.pipeline.runner import Stage, StageError
from seg_stream.pipeline.sinks.contract import Sink
from seg_stream.pipeline.sources import Source, open_file
from seg_stream.pipeline.stream import stream

WITHIN_S = 1.0
STAGES = ["read", "prepare", "infer", "composite", "write"]


pytestmark = pytest.mark.usefixtures("no_thread_outlives_its_run")


class BrokenError(Exception):
    """The failure that the tests inject."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(
        tmp_path_factory.mktemp("clip") / "clip.mp4", [hopping(i) for i in range(100)]
    )


@pytest.fixture(scope="module")
def grainy_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With bright noise, so that the output is some hundred kilobytes long."""
    rng = np.random.default_rng(3)
    neutral = [np.full((64, 96), 128, np.uint8)] * 2
    pictures = [(rng.integers(150, 250, (128, 192), np.uint8), *neutral) for _ in range(60)]
    return write_video(tmp_path_factory.mktemp("clip") / "grainy.mp4", pictures)


class Trap:
    """Raises at frame `at` of the stage that it is set into, and remembers when."""

    def __init__(self, at: int, error: BaseException) -> None:
        self.at, self.error = at, error
        self.sprung_s: list[float] = []
        self._seen = 0

    def step(self) -> None:
        if self._seen == self.at:
            self.sprung_s.append(time.perf_counter())
            raise self.error
        self._seen += 1

    def around(self, stage: Stage) -> Stage:
        def call(item: Any) -> Any:
            self.step()
            return stage.call(item)

        return Stage(stage.name, call)


class TrappedSource(Source):
    """A real source that fails at a frame."""

    def __init__(self, inner: Source, trap: Trap) -> None:
        super().__init__()
        self._inner, self._trap = inner, trap
        self.width, self.height = inner.width, inner.height

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._inner:
            self._trap.step()
            yield frame

    def close(self) -> None:
        self._inner.close()


def convert_with_trap(
    where: str, trap: Trap, clip: Path, output: Path, model: Path, *, overwrite: bool = False
) -> Summary:
    """What `convert` does, with the trap in one of the stages."""
    with ExitStack() as stack:
        source = stack.enter_context(open_file(clip))
        effect = stack.enter_context(VirtualBackground("#00b140", model=model))
        sink: Sink = stack.enter_context(
            open_sink(source, output, SinkOptions(overwrite=overwrite))
        )
        effect.stages = tuple(
            trap.around(stage) if stage.name == where else stage for stage in effect.stages
        )
        if where == "write":
            write = sink.write
            sink.write = trap.around(Stage("write", write)).call
        return stream(TrappedSource(source, trap) if where == "read" else source, effect, [sink])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("at", [0, 1, 40])
@pytest.mark.parametrize("where", STAGES)
def test_a_failing_stage_is_named_and_leaves_nothing(
    where: str, at: int, suffix: str, clip: Path, tmp_path: Path, brightness_model: Path
) -> None:
    trap = Trap(at, BrokenError("the test says so"))
    with pytest.raises(StageError) as caught:
        convert_with_trap(where, trap, clip, tmp_path / f"output{suffix}", brightness_model)
    assert time.perf_counter() - trap.sprung_s[0] < WITHIN_S
    assert str(caught.value) == f"The {where} stage failed: BrokenError: the test says so."
    assert caught.value.__cause__ is trap.error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", STAGES)
def test_a_failing_stage_leaves_the_old_output_alone(
    where: str, clip: Path, tmp_path: Path, brightness_model: Path
) -> None:
    output = tmp_path / "output.mp4"
    output.write_bytes(b"yesterday's work")
    trap = Trap(20, BrokenError("no"))
    with pytest.raises(StageError):
        convert_with_trap(where, trap, clip, output, brightness_model, overwrite=True)
    assert output.read_bytes() == b"yesterday's work"
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize("where", STAGES)
def test_an_interrupt_leaves_nothing_either(
    where: str, clip: Path, tmp_path: Path, brightness_model: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        convert_with_trap(
            where, Trap(20, KeyboardInterrupt()), clip, tmp_path / "output.mp4", brightness_model
        )
    assert list(tmp_path.iterdir()) == []


def test_a_trap_that_is_never_sprung_changes_nothing(
    clip: Path, tmp_path: Path, brightness_model: Path
) -> None:
    """The trap itself is sound: without a failure the whole clip comes out."""
    for where in STAGES:
        output = tmp_path / f"{where}.mp4"
        convert_with_trap(where, Trap(1000, BrokenError()), clip, output, brightness_model)
        assert len(read_video(output)) == 100


def test_the_output_appears_only_when_it_is_whole(
    clip: Path, tmp_path: Path, brightness_model: Path
) -> None:
    output = tmp_path / "output.mp4"
    seen: list[bool] = []
    convert(
        clip,
        output,
        model=brightness_model,
        background="#00b140",
        progress=lambda *_: seen.append(output.exists()),
    )
    assert seen == [False] * 100
    assert [path.name for path in tmp_path.iterdir()] == ["output.mp4"]


def test_an_engine_that_fails_on_a_frame_is_named(
    tmp_path: Path, write_failing_model: Callable[[Path], Path]
) -> None:
    """A real failure inside ONNX Runtime, at the first bright frame."""
    dark = [np.full((64, 96), 40, np.uint8), *[np.full((32, 48), 128, np.uint8)] * 2]
    bright = [np.full((64, 96), 220, np.uint8), *dark[1:]]
    clip = write_video(tmp_path / "clip.mp4", [tuple(dark)] * 10 + [tuple(bright)] * 10)
    model = write_failing_model(tmp_path / "model.onnx")
    with pytest.raises(
        SegStreamError, match=r"^ONNX Runtime .* \(CPU\) failed on a frame"
    ) as caught:
        convert(clip, tmp_path / "output.mp4", model=model)
    assert not isinstance(caught.value, UserError)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "model.onnx"]


def limit_files_to(size: int) -> Callable[[], None]:
    """Let the process write no file beyond a size: what a full disc does, at a known place."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("size", [0, 100, 3000, 50_000])
def test_a_full_disc_is_one_sentence_and_leaves_nothing(
    size: int, suffix: str, grainy_clip: Path, tmp_path: Path, brightness_model: Path
) -> None:
    result = run_command(
        "--input", grainy_clip, "--output", f"output{suffix}", "--model", brightness_model,
        cwd=tmp_path, before=limit_files_to(size),
    )  # fmt: skip
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert [line.startswith("Error: ") for line in result.stderr.splitlines()] == [True]
    assert "large" in result.stderr, "the system's reason is missing"
    assert list(tmp_path.iterdir()) == []


def test_a_full_disc_is_said_for_pictures_too(
    tmp_path: Path, brightness_model: Path, photograph: Path
) -> None:
    result = run_command(
        "--input", photograph, "--output", "output.png", "--model", brightness_model,
        cwd=tmp_path, before=limit_files_to(100),
    )  # fmt: skip
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert [line.startswith("Error: ") for line in result.stderr.splitlines()] == [True]
    assert list(tmp_path.iterdir()) == []
