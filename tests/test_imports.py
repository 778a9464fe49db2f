"""Every module imports without the optional dependencies, and none starts anything by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from clips import hopping, write_video

from seg_stream.engines.installed import LIBRARIES

OPTIONAL = [
    "aiohttp",
    "hypothesis",
    "keras",
    "matplotlib",
    "mediapipe",
    "mss",
    "onnx",
    "onnxconverter_common",
    "playwright",
    "psutil",
    "pycuda",
    "pynvml",
    "pytest",
    "pyvirtualcam",
    "rembg",
    "skimage",
    "tensorflow",
    "tensorrt",
    "tensorrt_rtx",
    "tf2onnx",
    "torch",
]

ROOT = Path(__file__).parents[1]
PACKAGES = ["pipeline", "engines", "export", "training", "benchmarks"]
PATHS = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
MODULES = [
    "seg_stream." + ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in PATHS
]

SCRIPT = """
import importlib, json, sys, threading

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in OPTIONAL:
            raise ModuleNotFoundError(f"{name} is blocked by the test", name=name)

OPTIONAL = json.loads(sys.argv[1])
sys.meta_path.insert(0, Absent())
failures = {}
for name in json.loads(sys.argv[2]):
    try:
        importlib.import_module(name)
    except BaseException as error:
        failures[name] = f"{type(error).__name__}: {error}"
threads = [thread.name for thread in threading.enumerate()]
print(json.dumps({"failures": failures, "threads": threads, "modules": sorted(sys.modules)}))
"""


def import_alone(*modules: str) -> dict[str, list[str]]:
    """Import in a process of its own, without anything optional."""
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(OPTIONAL), json.dumps(modules)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    loaded: dict[str, list[str]] = json.loads(result.stdout.splitlines()[-1])
    assert len(result.stdout.splitlines()) == 1, "a module prints when it is imported"
    return loaded


def test_every_module_is_looked_at() -> None:
    assert len(MODULES) > 40
    assert {"seg_stream.pipeline", "seg_stream.pipeline.sinks.video"} <= set(MODULES)


def test_the_optional_packages_are_really_out_of_reach() -> None:
    assert set(import_alone(*OPTIONAL)["failures"]) == set(OPTIONAL)


def test_all_of_them_import_together() -> None:
    loaded = import_alone(*MODULES)
    assert not loaded["failures"]
    assert loaded["threads"] == ["MainThread"]


@pytest.mark.parametrize(
    "name",
    [
        "seg_stream.pipeline",
        "seg_stream.pipeline.command",
        "seg_stream.pipeline.effect",
        "seg_stream.pipeline.foreground",
        "seg_stream.engines.contract",
        "seg_stream.engines.select",
        "seg_stream.pipeline.sources",
        "seg_stream.pipeline.sinks.video",
        "seg_stream.pipeline.types",
        "seg_stream.export.command",
        "seg_stream.training.run",
    ],
)
def test_it_imports_first_and_alone(name: str) -> None:
    """No module relies on another one having been imported before."""
    assert not import_alone(name)["failures"]


def test_the_package_itself_loads_nothing_heavy() -> None:
    modules = import_alone("seg_stream.pipeline")["modules"]
    assert not {"cv2", "av", "onnxruntime", "numpy"} & set(modules)


CONVERT = """
import sys
from seg_stream.pipeline.command import app
from seg_stream.pipeline.conversion import convert

convert(*sys.argv[1:])
print(*sorted(sys.modules))
"""


def test_converting_a_file_loads_no_more_than_it_needs(tmp_path: Path) -> None:
    """Each of these takes as long to load as a good many frames take to convert."""
    clip = write_video(tmp_path / "clip.mp4", map(hopping, range(3)))
    result = subprocess.run(
        [sys.executable, "-c", CONVERT, clip, tmp_path / "out.mp4"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out.mp4").is_file()
    loaded = set(result.stdout.split())
    assert {"av", "onnxruntime", "seg_stream.engines.select"} <= loaded
    others = {"rich", "pydantic", "ray", "aiohttp", "filelock", "importlib.metadata", "tomllib"}
    ours = {"cluster", "live", "page", "segments", "device", "sinks.window", "sources.cameras"}
    assert not loaded & others
    assert not loaded & {f"seg_stream.pipeline.{name}" for name in ours}
    if not any(map(find_spec, LIBRARIES.values())):  # else whether they work here is tried
        assert not loaded & {"seg_stream.engines.cuda", "seg_stream.engines.tensorrt_engine"}
