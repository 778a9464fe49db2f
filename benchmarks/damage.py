"""Convert damaged videos by the hundred: each becomes a video or one sentence, nothing else.

Short versions of the clips in a folder, in several kinds of file, are cut off, flipped, zeroed and
spliced, each by its own number, and converted in processes that may crash or hang without harm.
`python -m seg_stream.benchmarks.damage --clips FOLDER --count 2000 --seed 1`; exits 1 if a file had
another end than it may have. `--only N --keep FOLDER` makes one of them again, to be looked at.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import multiprocessing
import re
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue

import av
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from seg_stream.engines.models import DEFAULT
from seg_stream.pipeline import SegStreamError, Summary, UserError, convert
from seg_stream.pipeline.console import say
from seg_stream.pipeline.runner import StageError

FRAMES, RATE = 12, 6
ROWS = 160
SOUND_RATE = 48000

KINDS: dict[str, tuple[str, str | None]] = {
    "mp4": ("libx264", "aac"),
    "mov": ("libx264", "pcm_s16le"),
    "mkv": ("libx264", "flac"),
    "webm": ("libvpx-vp9", "libopus"),
    "ts": ("libx264", "aac"),
    "avi": ("mpeg4", "libmp3lame"),
    "264": ("libx264", None),
}
"""The encoders of picture and sound in each kind of file that is damaged."""

OUTPUTS = (".mp4", ".mkv", ".mov", ".webm")

MOST_FLIPS = 500
HEADER = 600
"""Bytes at the beginning and at the end that mostly tell what is in a file, and where."""

MEMORY = 8 << 30
"""Bytes of address space that a conversion may take: a file that claims to be huge must not stop
the machine."""

WHOLE = "none"
"""The kind of damage that is none: these have to be converted, or the trials say nothing."""

ALLOWED = ("converted", "refused", "failed")
"""A whole output, a `UserError`, another `SegStreamError`; every other outcome is a violation."""

SENTENCE = re.compile(r"(?!.*[.?!] [A-Z0-9]).+[.?]")

SPAWN = multiprocessing.get_context("spawn")

Converter = Callable[[Path, Path], Summary]
Damage = Callable[[np.random.Generator, bytes, bytes], bytes]


@dataclass(frozen=True)
class Result:
    """How one file ended, and with what words."""

    outcome: str
    words: str = ""


@dataclass(frozen=True)
class Trial:
    """One damaged file: its number, what it was made from and how, and its end."""

    number: int
    source: str
    damage: str
    output: str
    result: Result

    @property
    def allowed(self) -> bool:
        """Whether it ended as it may."""
        return self.result.outcome in ALLOWED


# Sources


def make_sources(clips: Iterable[Path], folder: Path) -> list[Path]:
    """Write a short, small version of every clip in every kind of file."""
    paths = []
    for number, clip in enumerate(clips):
        with av.open(str(clip)) as container:
            pictures = list(islice(container.decode(video=0), FRAMES))
        for kind in KINDS:
            paths.append(folder / f"{number}-{clip.stem}.{kind}")
            _write_source(paths[-1], pictures, *KINDS[kind])
    return paths


def _write_source(
    path: Path, pictures: Sequence[av.VideoFrame], video: str, audio: str | None
) -> None:
    """Two seconds of picture, sound, a title and a chapter; the same bytes every time."""
    first = pictures[0]
    width = max(2, round(ROWS * first.width / first.height / 2) * 2)
    settings = {"fflags": "+bitexact"}
    if path.suffix == ".mp4":
        settings["movflags"] = "+faststart"  # else a file without its end says nothing
    with av.open(str(path), "w", container_options=settings) as container:
        container.metadata["title"] = "A talk"
        container.set_chapters(
            [{"id": 1, "start": 0, "end": 1000, "time_base": Fraction(1, 1000),
              "metadata": {"title": "Begin"}}]
        )  # fmt: skip
        stream = container.add_stream(video, rate=RATE, options={"threads": "1", "g": "5"})
        sound = container.add_stream(audio, rate=SOUND_RATE) if audio else None
        if not isinstance(stream, av.VideoStream):
            raise TypeError(f"{video} is not a video encoder")
        stream.width, stream.height, stream.pix_fmt = width, ROWS, "yuv420p"
        for index, picture in enumerate(pictures):
            small = picture.reformat(width=width, height=ROWS, format="yuv420p")
            small.pts, small.time_base = index, Fraction(1, RATE)
            container.mux(stream.encode(small))
        container.mux(stream.encode(None))
        if isinstance(sound, av.AudioStream):
            wave = np.random.default_rng(1).integers(-3000, 3000, (1, 4 * SOUND_RATE), np.int16)
            tone = av.AudioFrame.from_ndarray(wave, "s16", "stereo")
            tone.sample_rate, tone.pts = SOUND_RATE, 0
            container.mux(sound.encode(tone))
            container.mux(sound.encode(None))


# Damage


def _some(rng: np.random.Generator, most: int) -> int:
    """A number from 1 to `most`, small ones as likely as large ones."""
    return round(float(most ** rng.random()))


def _block(rng: np.random.Generator, data: bytes) -> slice:
    length = _some(rng, max(1, len(data) // 2))
    start = int(rng.integers(len(data) - length + 1))
    return slice(start, start + length)


def _flip(rng: np.random.Generator, data: bytes, places: np.ndarray) -> bytes:
    flipped = np.frombuffer(data, np.uint8).copy()
    chosen = rng.choice(places, _some(rng, MOST_FLIPS))
    np.bitwise_xor.at(flipped, chosen, np.uint8(1) << rng.integers(8, size=len(chosen), dtype="u1"))
    return flipped.tobytes()


def _cut_off(rng: np.random.Generator, data: bytes, _: bytes) -> bytes:
    return data[: int(rng.integers(len(data)))]


def _beheaded(rng: np.random.Generator, data: bytes, _: bytes) -> bytes:
    return data[_some(rng, len(data)) :]


def _flipped(rng: np.random.Generator, data: bytes, _: bytes) -> bytes:
    return _flip(rng, data, np.arange(len(data)))


def _flipped_header(rng: np.random.Generator, data: bytes, _: bytes) -> bytes:
    places = np.arange(len(data))
    return _flip(rng, data, np.concatenate([places[:HEADER], places[-HEADER:]]))


def _wild_number(rng: np.random.Generator, data: bytes, _: bytes) -> bytes:
    """Sizes, counts and times are mostly 4 or 8 bytes long: put in very large or small ones."""
    length = int(rng.choice([4, 8]))
    wild = [bytes(length), b"\xff" * length, b"\x7f" + b"\xff" * (length - 1), rng.bytes(length)]
    place = int(rng.integers(min(HEADER, len(data) - length)))
    return data[:place] + wild[rng.integers(len(wild))] + data[place + length :]


def _zeroed(rng: np.random.Generator, data: bytes, _: bytes) -> bytes:
    block = _block(rng, data)
    return data[: block.start] + bytes(block.stop - block.start) + data[block.stop :]


def _removed(rng: np.random.Generator, data: bytes, _: bytes) -> bytes:
    block = _block(rng, data)
    return data[: block.start] + data[block.stop :]


def _doubled(rng: np.random.Generator, data: bytes, _: bytes) -> bytes:
    block = _block(rng, data)
    return data[: block.stop] + data[block.start :]


def _spliced(rng: np.random.Generator, data: bytes, other: bytes) -> bytes:
    here, there = _block(rng, data), _block(rng, other)
    return data[: here.start] + other[there] + data[here.stop :]


def _joined(rng: np.random.Generator, data: bytes, other: bytes) -> bytes:
    return data[: _block(rng, data).stop] + other[_block(rng, other).start :]


DAMAGES: dict[str, Damage] = {
    WHOLE: lambda _rng, data, _other: data,
    "cut off": _cut_off,
    "begin missing": _beheaded,
    "bits flipped": _flipped,
    "bits of the header flipped": _flipped_header,
    "a wild number in the header": _wild_number,
    "zeros in it": _zeroed,
    "a block missing": _removed,
    "a block twice": _doubled,
    "a block of another": _spliced,
    "goes on as another": _joined,
}


# Trials


def examine(input: Path, output: Path, converter: Converter) -> Result:
    """Convert a file into an empty folder, and judge what came of it."""
    try:
        summary = converter(input, output)
    except StageError as error:  # it wraps what nobody expected
        result = Result("exception", str(error))
    except SegStreamError as error:
        result = Result("refused" if isinstance(error, UserError) else "failed", str(error))
        if not SENTENCE.fullmatch(result.words):
            result = Result("no sentence", result.words)
    except Exception as error:
        result = Result("exception", f"{type(error).__name__}: {error}")
    else:
        result = _examine_output(output, summary.run.items)
    wanted = [output.name] if result.outcome == "converted" else []
    found = sorted(path.name for path in output.parent.iterdir())
    if result.outcome in ALLOWED and found != wanted:
        return Result("left behind", f"{result.outcome}, but the folder holds {found}")
    return result


def _examine_output(output: Path, frames: int) -> Result:
    try:
        with av.open(str(output)) as container:
            for packet in container.demux():
                packet.size  # noqa: B018  # sound and the rest need only be readable
        with av.open(str(output)) as container:
            found = sum(1 for _ in container.decode(video=0))
    except (av.FFmpegError, OSError, IndexError) as error:
        return Result("unreadable", f"{type(error).__name__}: {error}")
    if not found or found != frames:
        return Result("frames lost", f"{found} of {frames} frames are in the output")
    return Result("converted")


def _serve(pipe: Connection, converter: Converter) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    with suppress(ImportError, ValueError):  # not on Windows; there is a lower limit already
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    faulthandler.enable()
    pipe.send("ready")
    while True:
        try:
            input, output = pipe.recv()
        except EOFError:
            return
        pipe.send(examine(input, output, converter))


class Worker:
    """A process that examines one file after the other; another follows it if it hangs or dies."""

    def __init__(self, converter: Converter, limit_s: float) -> None:
        self._converter, self._limit_s = converter, limit_s
        self._start()

    def _start(self) -> None:
        self._pipe, theirs = SPAWN.Pipe()
        self._process = SPAWN.Process(target=_serve, args=(theirs, self._converter), daemon=True)
        self._process.start()
        theirs.close()  # so that the pipe ends with the process
        self._pipe.recv()

    def examine(self, input: Path, output: Path) -> Result:
        """See the function `examine`; a hang and a crash are results too."""
        try:
            self._pipe.send((input, output))
            if self._pipe.poll(self._limit_s):
                result: Result = self._pipe.recv()
                return result
            result = Result("hang", f"no end after {self._limit_s:g} s")
        except (EOFError, OSError):
            self._process.join()
            result = Result("crash", f"the process ended with {self._process.exitcode}")
        self.close()
        self._start()
        return result

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def trials(
    sources: Sequence[Path],
    numbers: Iterable[int],
    converter: Converter,
    *,
    seed: int,
    jobs: int = 1,
    limit_s: float = 20.0,
    keep: Path | None = None,
) -> Iterator[Trial]:
    """Damage and convert; the same seed and number always make the same file.

    Args:
        sources: whole videos.
        numbers: of the trials.
        converter: what is tried; it is sent to other processes.
        seed: another one makes other files.
        jobs: processes at a time.
        limit_s: how long one file may take.
        keep: folder for the damaged files that did not end as they may.
    """
    idle: SimpleQueue[Worker] = SimpleQueue()

    def attempt(number: int) -> Trial:
        rng = np.random.default_rng([seed, number])
        source, other = (sources[i] for i in rng.integers(len(sources), size=2))
        damage = list(DAMAGES)[rng.integers(len(DAMAGES))]
        with tempfile.TemporaryDirectory() as folder:
            input = Path(folder, f"{number}{source.suffix}")
            output = Path(folder, "results", f"out{OUTPUTS[rng.integers(len(OUTPUTS))]}")
            output.parent.mkdir()
            input.write_bytes(DAMAGES[damage](rng, source.read_bytes(), other.read_bytes()))
            worker = idle.get()
            try:
                result = worker.examine(input, output)
            finally:
                idle.put(worker)
            if damage == WHOLE and result.outcome in ("refused", "failed"):
                result = Result(f"{result.outcome} though whole", result.words)
            trial = Trial(number, source.name, damage, output.suffix, result)
            if keep and not trial.allowed:
                shutil.copy(input, keep)
        return trial

    with ExitStack() as stack:
        for _ in range(jobs):
            worker = Worker(converter, limit_s)
            stack.callback(worker.close)
            idle.put(worker)
        yield from stack.enter_context(ThreadPoolExecutor(jobs)).map(attempt, numbers)


# Report


def _table(done: Sequence[Trial]) -> Table:
    """Kinds of damage against outcomes."""
    counts = Counter((trial.damage, trial.result.outcome) for trial in done)
    outcomes = [*ALLOWED, *sorted({outcome for _, outcome in counts} - set(ALLOWED))]
    table = Table("damage", *outcomes)
    for damage in DAMAGES:
        table.add_row(damage, *(str(counts[damage, outcome] or "") for outcome in outcomes))
    table.add_section()
    totals = Counter(trial.result.outcome for trial in done)
    table.add_row("all", *(str(totals[outcome]) for outcome in outcomes))
    return table


def main() -> int:
    """Run the trials and say how they ended; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="the number of a single trial")
    parser.add_argument("--keep", type=Path, help="folder for the files with violations")
    parser.add_argument("--report", type=Path, help="JSON file to write")
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--limit", type=float, default=20.0, help="seconds that a file may take")
    options = parser.parse_args()
    clips = sorted(path for path in options.clips.glob("*.*") if path.is_file())
    if not clips:
        parser.error(f"{options.clips} holds no clips")
    numbers = range(options.count) if options.only is None else [options.only]
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    converter = partial(convert, background="#00b140", model=options.model)
    with tempfile.TemporaryDirectory() as folder:
        sources = make_sources(clips, Path(folder))
        running = trials(
            sources, numbers, converter,
            seed=options.seed, jobs=options.jobs, limit_s=options.limit, keep=options.keep,
        )  # fmt: skip
        console = Console(stderr=True)
        done = list(track(running, "damaged files", len(numbers), console=console))
    console.print(_table(done))
    violations = [trial for trial in done if not trial.allowed]
    for trial in violations:
        say(
            f"--seed {options.seed} --only {trial.number}: {trial.source}, {trial.damage}, to "
            f"{trial.output}: {trial.result.outcome}: {trial.result.words}"
        )
    if options.report:
        report = {"seed": options.seed, "trials": [asdict(trial) for trial in done]}
        options.report.write_text(json.dumps(report, indent=1) + "\n")
    return int(bool(violations))


if __name__ == "__main__":
    sys.exit(main())
