"""The kernels, compiled once for all tests of them."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from host_gpu import HostGpu, compile_twins


@pytest.fixture(scope="session")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Any:
    if not shutil.which("g++"):
        pytest.skip("needs g++ to compile the kernels for this machine")
    return compile_twins(tmp_path_factory.mktemp("twins"))


@pytest.fixture
def gpu(twins: Any) -> Any:
    return HostGpu(twins)
