"""pycuda and `engines/cuda.py` as they are, on a stand-in for NVIDIA's driver that works late."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = importlib.util.find_spec("pycuda")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs pycuda, from the extra gpu")
    (module,) = Path(spec.submodule_search_locations[0]).glob("_driver*.so")
    symbols = subprocess.run(
        ["nm", "-D", "--undefined-only", str(module)], capture_output=True, text=True, check=True
    )
    source = (HERE / "host_driver.cpp").read_text()
    wanted = {line.split()[-1] for line in symbols.stdout.splitlines() if " cu" in line}
    rest = sorted(name for name in wanted if f"int {name}(" not in source)
    folder = tmp_path_factory.mktemp("driver")
    main = folder / "driver.cpp"
    unsupported = "".join(f'extern "C" int {name}() {{ return 801; }}\n' for name in rest)
    main.write_text(source + unsupported)
    library = folder / "libcuda.so.1"
    flags = ["-std=c++20", "-O1", "-fPIC", "-shared", "-pthread", "-Wl,-soname,libcuda.so.1"]
    subprocess.run(["g++", *flags, "-o", str(library), str(main)], check=True)
    return library


def run(driver: Path, twins: Any, code: str | None = None, **environment: str) -> str:
    names = [twin._name for twin in twins.values()]
    start = ["-c", code] if code else [str(HERE / "on_host_driver.py")]
    result = subprocess.run(
        [sys.executable, *start, str(driver), *names],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=HERE,
        env={**os.environ, **environment, "PYTHONPATH": str(HERE)},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert "PyCUDA WARNING" not in result.stderr, "something was freed without its context"
    return result.stdout


def test_it_holds_together(driver: Path, twins: Any) -> None:
    found = json.loads(run(driver, twins).splitlines()[-1])
    # Streams work at the same time, and the frames are the CPU's all the same.
    assert found["worst"] <= 2
    assert found["infer"] == 0
    assert found["open"]["streams"] == 3  # two places, and the engine's own
    assert found["open"]["retained"] == 2  # the GPU's thread, and the one that waits
    # Everything is freed before the context is popped and released, also after a failure.
    kept = {"retained", "device", "host", "streams", "events", "modules", "current"}
    assert all(found["closed"][name] == 0 for name in kept), found["closed"]
    assert all(found["after_failure"][name] == 0 for name in kept), found["after_failure"]
    assert found["alive"] == ["MainThread"]
    # One thread owns the GPU, and any thread may ask it.
    assert found["errors"] == []
    assert found["threads_leak"] == 0
    assert found["current_outside"] == 0
    assert "GPU's thread" in found["outside"]
    assert "closed" in found["after_close"]
    assert "launch failed" in found["failure"]


def test_an_old_driver_is_named(driver: Path, twins: Any) -> None:
    code = """
import ctypes, sys
ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL)
from seg_stream.engines.cuda import Gpu
from seg_stream.engines.kernels.arguments import PrepareArguments
from seg_stream.pipeline.errors import SegStreamError
with Gpu() as gpu:
    stream = gpu.call(gpu.stream)
    try:
        one = (1, 1, 1)
        gpu.call(gpu.launch, "prepare.prepare", PrepareArguments(), one, one, stream)
    except SegStreamError as error:
        print(error)
"""
    said = run(driver, twins, code, HOST_DRIVER_VERSION="12040")
    assert "12.4" in said
    assert "13.0" in said
    assert "driver 580" in said
