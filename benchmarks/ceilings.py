"""The most that this machine can do: a matrix product and a copy, with so many threads.

Each number of threads has a process of its own, since a BLAS library takes it only at its start.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np

from seg_stream.benchmarks.schema import Ceiling, Sample

SIDE = 1024
COPIED = 4 << 20
"""Bytes that each thread copies at a time, about a frame: where a cache holds it, the copy is as
quick as the stages' own can be, which a copy of all memory would understate."""

VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def measure_ceiling(threads: int, rounds: int = 3) -> Ceiling:
    """Multiply and copy with so many threads."""
    environment = {**os.environ, **dict.fromkeys(VARIABLES, str(threads))}
    result = subprocess.run(
        [sys.executable, "-m", __name__, str(threads), str(rounds)],
        env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=120,
    )  # fmt: skip
    matrix, copy_rate = json.loads(result.stdout)
    return Ceiling(
        threads=threads,
        matrix=Sample.of("GFLOP/s", matrix),
        copy_rate=Sample.of("GB/s", copy_rate),
    )


def _matrix_rate(rounds: int) -> list[float]:
    """Float32 operations a second, in billions: the best product of each round."""
    left = np.random.default_rng(3).random((SIDE, SIDE), np.float32)
    out = np.empty_like(left)
    left @ left
    return [
        2 * SIDE**3 / _best_s(lambda: np.matmul(left, left, out=out), 6) / 1e9
        for _ in range(rounds)
    ]


def _copy_rate(threads: int, rounds: int) -> list[float]:
    """Bytes read and written a second, in billions."""
    pairs = [(np.ones(COPIED, np.uint8), np.zeros(COPIED, np.uint8)) for _ in range(threads)]

    def copy(pair: tuple[np.ndarray, np.ndarray]) -> None:
        for _ in range(20):
            np.copyto(pair[1], pair[0])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(copy, pairs))
        moved = 2 * 20 * COPIED * threads
        return [
            moved / _best_s(lambda: list(pool.map(copy, pairs)), 4) / 1e9 for _ in range(rounds)
        ]


def _best_s(call: Callable[[], object], times: int) -> float:
    best = float("inf")
    for _ in range(times):
        start = perf_counter()
        call()
        best = min(best, perf_counter() - start)
    return best


if __name__ == "__main__":
    threads, rounds = map(int, sys.argv[1:])
    print(json.dumps([_matrix_rate(rounds), _copy_rate(threads, rounds)]))
