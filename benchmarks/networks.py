"""Every model alone, in every engine that works here, beside what the machine can do at most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from seg_stream.benchmarks.clock import Times, time_calls
from seg_stream.benchmarks.operations import Operations, count_operations
from seg_stream.benchmarks.schema import Ceiling, Distribution, Network, Sample
from seg_stream.engines.contract import Engine
from seg_stream.engines.models import find_model
from seg_stream.engines.select import ENGINES, ON_GPU, EngineChoice, open_engine
from seg_stream.pipeline.errors import SegStreamError

DESCRIPTIONS = Path(__file__).parent / "peers"
"""What other projects' models expect, as NAME.toml."""


def find_peers(folder: Path | None) -> list[Path]:
    """The models in a folder that are described here."""
    models = sorted(folder.glob("*.onnx")) if folder else []
    return [model for model in models if _description(model).is_file()]


@contextmanager
def described(models: Iterable[Path]) -> Iterator[list[Path]]:
    """Copies of peers' models with their descriptions beside them, as `--model` wants them."""
    with TemporaryDirectory() as name:
        copies = []
        for model in models:
            copies.append(Path(name, model.name))
            copies[-1].write_bytes(model.read_bytes())
            copies[-1].with_suffix(".toml").write_bytes(_description(model).read_bytes())
        yield copies


def measure_networks(
    models: Iterable[tuple[str | Path, bool]],
    ceilings: dict[int, Ceiling],
    *,
    rounds: int,
    round_s: float,
    notes: list[str],
) -> list[Network]:
    """Time each model in each engine; on the CPU with each number of threads that has a ceiling.

    An engine that fails is left out from then on.

    Args:
        models: a shipped model's name or a file, and whether it is a peer's.
        ceilings: by the number of threads.
        rounds: how often.
        round_s: how long each time, in seconds.
        notes: gets a sentence for what could not be measured.
    """
    found, absent = list[Network](), set[str]()
    for model, peer in models:
        operations = _count(find_model(model), notes)
        for engine in ENGINES:
            on_cpu = engine not in ON_GPU
            for threads, ceiling in ceilings.items() if on_cpu else [(max(ceilings), None)]:
                if engine in absent:
                    continue
                try:
                    network = _measure(str(model), engine, threads, rounds, round_s, peer=peer)
                except SegStreamError as error:
                    notes.append(f"{engine} was not measured: {error}")
                    absent.add(engine)
                    continue
                if operations:
                    floor_ms = round(network_floor_ms(operations, ceiling), 4) if ceiling else None
                    network = network.model_copy(
                        update={
                            "multiply_adds": operations.multiply_adds,
                            "bytes": operations.bytes,
                            "floor_ms": floor_ms,
                        }
                    )
                found.append(network)
    return found


def network_floor_ms(operations: Operations, ceiling: Ceiling) -> float:
    """What the sums or the bytes of a network take at least, whichever is more.

    Its two operations a multiply-add run at the speed of a matrix product, its bytes at that of a
    copy (S. Williams et al., "Roofline", 2009).
    """
    sums_ms = 2 * operations.multiply_adds / (ceiling.matrix.median * 1e6)
    bytes_ms = operations.bytes / (ceiling.copy_rate.median * 1e6)
    return max(sums_ms, bytes_ms)


def time_engine(engine: Engine, rounds: int, round_s: float) -> Times:
    """Time an open engine on one random picture."""
    # In the range that the network was trained for; another could end in denormal numbers.
    mean, std = engine.info.input_mean[0], engine.info.input_std[0]
    pixels = np.random.default_rng(5).random(engine.input.shape, np.float32)
    tensor = ((pixels * 255 - mean) / std).astype(np.float32)
    return time_calls(lambda: engine.infer(tensor), rounds=rounds, round_s=round_s)


def _measure(
    model: str, engine: str, threads: int, rounds: int, round_s: float, *, peer: bool
) -> Network:
    choice = EngineChoice(engine, require_gpu=engine in ON_GPU)
    with open_engine(choice, model, threads=threads) as opened:
        times = time_engine(opened, rounds, round_s)
        return Network(
            model=Path(model).stem,
            engine=opened.name,
            threads=threads,
            size=f"{opened.input.width}x{opened.input.height}",
            peer=peer,
            latency=Sample.of("ms", times.rounds_ms),
            calls=Distribution.of("ms", times.calls_ms),
        )


def _count(model: Path, notes: list[str]) -> Operations | None:
    try:
        return count_operations(model)
    except ImportError:
        sentence = "Operations are not counted, so networks have no floor: pip install onnx."
        if sentence not in notes:
            notes.append(sentence)
    except ValueError as error:
        notes.append(f"{model.stem} has no floor: {str(error).replace(str(model), model.name)}.")
    return None


def _description(model: Path) -> Path:
    return DESCRIPTIONS / f"{model.stem}.toml"
