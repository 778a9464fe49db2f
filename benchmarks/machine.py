"""The machine: what it is, and how much two measurements of the same work differ on it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import perf_counter

import cv2
import numpy as np

from seg_stream.benchmarks.schema import Machine, Noise, Sample
from seg_stream.engines.onnxruntime_cpu import available_cores

LIBRARIES = (
    "numpy", "opencv-python", "av", "onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-rtx",
    "mediapipe", "rembg",
)  # fmt: skip

PAIRS = 6
"""Times that the reference work is done in turns, twice each, whenever noise is looked at."""


def describe_machine() -> Machine:
    """Say what this machine is."""
    versions = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            continue
    return Machine(
        processor=_processor(),
        cores=available_cores(),
        memory_gib=round(_memory_bytes() / 2**30, 1),
        system=f"{platform.system()} {platform.machine()}",
        gpu=_gpu(),
        versions=versions,
    )


class NoiseMeter:
    """Does the same work at several moments of a run, each time in pairs."""

    def __init__(self) -> None:
        random = np.random.default_rng(7)
        self._picture = random.integers(0, 256, (720, 1280), np.uint8)
        self._matrix = random.random((256, 256), np.float32)
        self._medians = list[float]()
        self._ratios = list[float]()
        self._work_ms()

    def look(self) -> None:
        """Measure once more; about a tenth of a second."""
        pairs = [(self._work_ms(), self._work_ms()) for _ in range(PAIRS)]
        first, second = (median(times) for times in zip(*pairs, strict=True))
        self._ratios.append(max(first, second) / min(first, second) - 1)
        self._medians.append(median([first, second]))

    def result(self) -> Noise:
        """What was found; `look` was called before."""
        reference = Sample.of("ms", self._medians)
        return Noise(pairs=round(max(self._ratios), 4), drift=reference.spread, reference=reference)

    def _work_ms(self) -> float:
        """Some filtering, as the stages do, and some sums, as the network does."""
        start_s = perf_counter()
        cv2.GaussianBlur(self._picture, (9, 9), 2.0)
        np.einsum("ij,jk->ik", self._matrix, self._matrix)
        return 1000 * (perf_counter() - start_s)


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return 0


def _gpu() -> str | None:
    command = shutil.which("nvidia-smi")
    if not command:
        return None
    query = [command, "--query-gpu=name", "--format=csv,noheader"]
    found = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    names = found.stdout.strip().splitlines()
    return names[0] if found.returncode == 0 and names else None
