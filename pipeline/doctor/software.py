"""Python, ONNX Runtime, the model, OpenCV and the codecs."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Callable, Collection
from importlib.metadata import distributions
from pathlib import Path
from time import perf_counter

import av
import numpy as np
import onnxruntime as ort

from seg_stream.engines.contract import Engine
from seg_stream.engines.onnxruntime_cpu import available_cores
from seg_stream.engines.select import open_engine
from seg_stream.pipeline.doctor.finding import Finding, absent, right, wrong
from seg_stream.pipeline.errors import SegStreamError
from seg_stream.pipeline.sinks.encoding import CODECS

OLDEST = (3, 11)
DECODERS = ("h264", "hevc", "vp9", "av1", "mjpeg", "prores", "aac")
ENCODERS = ("aac", *(codec.encoder for codec in CODECS.values()))
BUILDS = {f"onnxruntime{kind}" for kind in ("", "-gpu", "-directml", "-openvino", "-rocm")}
"""Of ONNX Runtime: all are the same import."""

RUNS = 5


def installed() -> set[str]:
    """The names of all installed packages, in lower case with hyphens."""
    return {
        name.lower().replace("_", "-")
        for found in distributions()
        if (name := found.metadata["Name"])
    }


def check_python() -> Finding:
    """Python's version."""
    number = platform.python_version()
    if sys.version_info < OLDEST:
        return wrong("Python", number, "use Python 3.11 or newer")
    return right("Python", f"{number} on {platform.system()} {platform.machine()}")


def check_cores(root: Path = Path("/")) -> Finding:
    """Cores, and a limit to less time than they have, as containers set it."""
    cores = available_cores()
    quota = _quota(root / "sys/fs/cgroup/cpu.max")
    if quota and quota < cores:
        return wrong(
            "CPU",
            f"{cores} cores are visible, but this container may use {quota:.1f} of them",
            "raise its CPU limit, or give it whole cores (docker run --cpuset-cpus)",
        )
    return right("CPU", f"{cores} of {os.cpu_count()} cores")


def _quota(path: Path) -> float | None:
    try:
        limit, period = path.read_text().split()[:2]
        return int(limit) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # none is written as "max"
        return None


def check_onnxruntime(packages: Collection[str] | None = None) -> Finding:
    """ONNX Runtime, installed once, and on what it runs."""
    packages = installed() if packages is None else packages
    both = sorted(
        name for name in packages if name.startswith("onnxruntime") and "-ext" not in name
    )
    if len(both) > 1:
        return wrong(
            "ONNX Runtime",
            f"{' and '.join(both)} are installed over each other",
            f"pip uninstall -y {' '.join(both)}, then install one of them again",
        )
    providers = [name.removesuffix("ExecutionProvider") for name in ort.get_available_providers()]
    text = f"{ort.__version__}: {', '.join(providers)}"
    if "CPU" not in providers:
        return wrong("ONNX Runtime", text, "pip install --force-reinstall onnxruntime")
    return right("ONNX Runtime", text)


def check_model(choose: Callable[[], Engine] = open_engine) -> list[Finding]:
    """Run the model that is the default, so that it is seen what it really runs on, and why."""
    try:
        with choose() as engine:
            tensor = np.full(engine.input.shape, 0.5, np.float32)
            times_s = []
            for _ in range(RUNS):
                start_s = perf_counter()
                engine.infer(tensor)
                times_s.append(perf_counter() - start_s)
            took_ms = 1000 * statistics.median(times_s)
            text = f"{engine.info.name} on {engine.name}: {took_ms:.0f} ms a frame"
            notes = list(engine.notes)
    except SegStreamError as error:
        return [wrong("model", str(error), "reinstall seg-stream")]
    fix = "see the lines on the GPU; seg-stream --require-gpu fails rather than use the CPU"
    return [right("model", text), *(absent("best engine", note, fix) for note in notes)]


def check_opencv(packages: Collection[str] | None = None) -> Finding:
    """OpenCV, installed once, with windows."""
    packages = installed() if packages is None else packages
    wheels = sorted(name for name in packages if name.startswith("opencv-"))
    again = f"pip uninstall -y {' '.join(wheels)}, then pip install opencv-python"
    if len(wheels) > 1:
        return wrong("OpenCV", f"{' and '.join(wheels)} are installed over each other", again)
    try:
        import cv2
    except ImportError as error:
        return wrong("OpenCV", str(error), "apt install libgl1 libglib2.0-0, on Debian")
    if any("headless" in name for name in wheels):
        return absent("OpenCV", f"{cv2.__version__} without windows ({wheels[0]})", again)
    return right("OpenCV", str(cv2.__version__))


def check_codecs(
    decoders: Collection[str] = DECODERS, encoders: Collection[str] = ENCODERS
) -> Finding:
    """What this PyAV can read and write."""
    missing = [f"reading {name}" for name in decoders if not _has(name, "r")]
    missing += [f"writing {name}" for name in encoders if not _has(name, "w")]
    if missing:
        return wrong(
            "codecs",
            f"PyAV {av.__version__} lacks {', '.join(missing)}",
            "pip install --force-reinstall av: its wheels have them, a build of your own may not",
        )
    return right("codecs", f"PyAV {av.__version__} reads and writes {', '.join(CODECS)}")


def _has(name: str, mode: str) -> bool:
    try:
        av.Codec(name, "w" if mode == "w" else "r")
    except (ValueError, av.FFmpegError):
        return False
    return True
