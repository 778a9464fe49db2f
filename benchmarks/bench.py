"""One run of `seg-bench`: everything that is measured, in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import cv2
import numpy as np

from seg_stream.benchmarks import adapters
from seg_stream.benchmarks.ceilings import measure_ceiling
from seg_stream.benchmarks.clips import describe_clip, render_clip
from seg_stream.benchmarks.files import OURS, REENCODE, Way, measure_files, other, seg_stream
from seg_stream.benchmarks.machine import NoiseMeter, describe_machine
from seg_stream.benchmarks.networks import described, find_peers, measure_networks
from seg_stream.benchmarks.scaling import by_network, by_resolution, by_streams, by_threads
from seg_stream.benchmarks.schema import Network, Report, Scaling, Session, StageTime
from seg_stream.benchmarks.session import FILE, measure_session
from seg_stream.benchmarks.stages import measure_stages
from seg_stream.engines.models import DEFAULT, shipped
from seg_stream.engines.onnxruntime_cpu import available_cores

Say = Callable[[str], None]


@dataclass(frozen=True)
class Depth:
    """How long a run takes its time; `sizes` and `frames` are of the clips if none is given."""

    name: str
    sizes: tuple[tuple[int, int], ...]
    frames: int
    rounds: int
    slow_rounds: int
    """Of the ways of converting a file that take long."""
    sessions: int
    session_s: float
    rates: tuple[int, ...]
    network_rounds: int
    network_round_s: float
    stage_rounds: int
    rows: tuple[int, ...] = ()
    """Heights of the frames over which a conversion's cost is fitted."""
    streams: tuple[int, ...] = ()
    """How many conversions run at once."""
    sides: tuple[int, ...] = ()
    """Of the input of the article's U-Net."""
    widths: tuple[int, ...] = ()
    """Of that network."""
    thorough: bool = False
    """Every way of converting a file and every number of threads, not only the main ones."""


QUICK = Depth(
    "quick", sizes=((1280, 720),), frames=120, rounds=2, slow_rounds=1, sessions=1, session_s=3.0,
    rates=(30, 60), network_rounds=3, network_round_s=0.1, stage_rounds=2,
)  # fmt: skip
USUAL = Depth(
    "usual", sizes=((1280, 720), (1920, 1080)), frames=150, rounds=3, slow_rounds=2, sessions=1,
    session_s=4.0, rates=(30, 60), network_rounds=3, network_round_s=0.2, stage_rounds=3,
    rows=(360, 720, 1080),
)  # fmt: skip
FULL = Depth(
    "full", sizes=((1280, 720), (1920, 1080)), frames=300, rounds=5, slow_rounds=5, sessions=3,
    session_s=8.0, rates=(30, 60), network_rounds=5, network_round_s=0.4, stage_rounds=5,
    rows=(360, 480, 720, 1080, 1440, 2160), streams=(1, 2, 4, 8), sides=(128, 192, 256, 384, 512),
    widths=(8, 16, 32, 64), thorough=True,
)  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """What is measured."""

    depth: Depth
    clips: list[Path]
    """Videos; rendered ones if there are none."""
    model: str = DEFAULT
    peers: Path | None = None
    """A folder with other projects' models."""
    mediapipe: Path | None = None
    """The .tflite that MediaPipe is given."""
    rembg: str | None = None
    """The model of rembg."""


def run_bench(wanted: Wanted, say: Say) -> Report:
    """Measure everything.

    Raises:
        SegStreamError: something that has to work does not.
    """
    start_s = perf_counter()
    notes = list[str]()
    meter = NoiseMeter()
    depth = wanted.depth

    def begin(what: str) -> None:
        say(f"{perf_counter() - start_s:4.0f} s  {what}")
        meter.look()

    with TemporaryDirectory() as name, described(find_peers(wanted.peers)) as peers:
        folder = Path(name)
        begin("clips")
        clips = wanted.clips or [
            render_clip(folder / f"portrait-{height}p.mp4", width, height, depth.frames)
            for width, height in depth.sizes
        ]
        background = _room(folder / "room.png")
        begin("what the machine can do")
        cores = available_cores()
        between = {2**n for n in range(8) if 2**n < cores} if depth.thorough else set()
        counts = sorted({1, cores} | between)
        ceilings = {threads: measure_ceiling(threads) for threads in counts}
        begin("networks alone")
        networks = measure_networks(
            [*((model, False) for model in shipped()), *((peer, True) for peer in peers)],
            ceilings, rounds=depth.network_rounds, round_s=depth.network_round_s, notes=notes,
        )  # fmt: skip
        stages = list[StageTime]()
        for clip in clips:
            begin(f"stages alone, {clip.stem}")
            stages += measure_stages(
                clip, str(background), wanted.model, ceilings[1],
                rounds=depth.stage_rounds, threads=available_cores(),
                network_floor_ms=_floor_ms(networks, wanted.model),
            )  # fmt: skip
        conversions = []
        for clip in clips:
            begin(f"whole files, {clip.stem}")
            conversions += measure_files(
                clip, background, _ways(wanted, peers), rounds=depth.rounds,
                slow_rounds=depth.slow_rounds, between=meter.look, notes=notes,
            )  # fmt: skip
        sessions = list[Session]()
        for clip in clips:
            for kind in (FILE, *map(str, depth.rates)):
                begin(f"from inside: {kind}, {clip.stem}")
                sessions.append(
                    measure_session(
                        clip,
                        background,
                        wanted.model,
                        kind,
                        rounds=depth.sessions,
                        seconds=depth.session_s,
                    )
                )
        begin("scaling")
        scaling = _scaling(wanted, networks, background, folder, notes)
        meter.look()
        return Report(
            seg_stream=version("seg-stream"),
            date=datetime.now(UTC).date().isoformat(),
            depth=depth.name,
            took_s=round(perf_counter() - start_s, 1),
            machine=describe_machine(),
            noise=meter.result(),
            clips=[describe_clip(clip) for clip in clips],
            ceilings=list(ceilings.values()),
            networks=networks,
            stages=stages,
            conversions=conversions,
            sessions=sessions,
            scaling=scaling,
            notes=notes,
        )


def _scaling(
    wanted: Wanted, networks: list[Network], background: Path, folder: Path, notes: list[str]
) -> list[Scaling]:
    depth, model = wanted.depth, wanted.model
    curves = [by_threads(networks, model)]
    if depth.rows:
        curves.append(by_resolution(depth.rows, background, model, depth.rounds, folder))
    if depth.streams:
        curves.append(by_streams(depth.streams, background, model, depth.rounds, folder))
    if depth.sides and not adapters.is_installed("tf2onnx"):
        notes.append("Networks of other sizes were not made: pip install 'seg-stream[export]'.")
    elif depth.sides:
        times = depth.network_rounds, depth.network_round_s
        curves += by_network(depth.sides, depth.widths, *times, folder)
    return curves


def _ways(wanted: Wanted, peers: list[Path]) -> list[Way]:
    model = wanted.model
    ways = [
        seg_stream(OURS, model),
        other(REENCODE, "re-encode", model, slow=False),
        other("plain loop, same network", "plain-loop", model),
    ]
    ways += [other(f"plain loop, {peer.stem}", "plain-loop", str(peer)) for peer in peers[:1]]
    if wanted.mediapipe and adapters.is_installed("mediapipe"):
        ways.append(other("MediaPipe in a plain loop", "mediapipe", str(wanted.mediapipe)))
    if wanted.rembg and adapters.is_installed("rembg"):
        ways.append(other(f"rembg {Path(wanted.rembg).stem}", "rembg", wanted.rembg))
    if wanted.depth.thorough:
        ways.append(other("same functions in one thread", "one-thread", model))
        ways += [other(f"plain loop, {peer.stem}", "plain-loop", str(peer)) for peer in peers[1:]]
        ways += [seg_stream(f"{OURS}, {peer.stem}", str(peer)) for peer in peers]
    return ways


def _floor_ms(networks: list[Network], model: str) -> float | None:
    floors = [n.floor_ms for n in networks if n.model == Path(model).stem]
    return floors[-1] if floors else None


def _room(path: Path) -> Path:
    """A background picture with something in it."""
    rows, columns = np.mgrid[0:1080, 0:1920]
    picture = np.stack([rows % 256, columns % 256, (rows + columns) // 12], -1).astype(np.uint8)
    cv2.imwrite(str(path), picture)
    return path
