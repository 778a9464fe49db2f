"""The PTX that ships is what nvcc makes of the sources, and suits every GPU from Turing on."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from host_gpu import KERNEL

from seg_stream.engines.kernels import FOLDER, STAMP, ptx, source_hash

FILES = sorted(path.stem for path in FOLDER.glob("*.cu"))
ARCHITECTURES = ["sm_75", "sm_90", "sm_120"]
MOST_BYTES = 400_000

nvcc = shutil.which("nvcc")
needs_nvcc = pytest.mark.skipif(not nvcc, reason="needs nvcc")


@pytest.mark.parametrize("file", FILES)
def test_it_was_made_of_this_source(file: str) -> None:
    first = ptx(file).splitlines()[0].decode()
    assert first == STAMP + source_hash(FOLDER / f"{file}.cu"), "run make kernels"


@pytest.mark.parametrize("file", FILES)
def test_it_holds_every_kernel_for_the_oldest_gpu_and_is_small(file: str) -> None:
    text = ptx(file).decode().rstrip("\0")
    assert re.search(r"^\.target sm_75$", text, re.M)
    source = (FOLDER / f"{file}.cu").read_text()
    kernels = [name for name, _ in KERNEL.findall(source)]
    assert kernels
    assert sorted(re.findall(r"^\.visible \.entry (\w+)\(", text, re.M)) == sorted(kernels)
    assert len(text) < MOST_BYTES


@needs_nvcc
@pytest.mark.parametrize("file", FILES)
def test_every_gpu_takes_it_without_spills(file: str, tmp_path: Path) -> None:
    """The assembler that the driver uses too, once for each architecture."""
    path = tmp_path / f"{file}.ptx"
    path.write_bytes(ptx(file).rstrip(b"\0"))
    folder = subprocess.run(
        [str(nvcc), "--dryrun", "-arch=sm_75", "-cubin", str(FOLDER / f"{file}.cu")],
        capture_output=True,
        text=True,
        check=True,
    )
    here = re.search(r"_HERE_=(\S+)", folder.stderr)
    assert here
    for architecture in ARCHITECTURES:
        made = subprocess.run(
            [f"{here[1]}/ptxas", "-v", f"-arch={architecture}", "-o", "/dev/null", str(path)],
            capture_output=True,
            text=True,
            check=True,
        )
        spills = re.findall(r"(\d+) bytes spill", made.stderr)
        assert spills, made.stderr
        assert set(spills) == {"0"}, architecture
        # A GPU has 65,536 registers for a block, and refuses one that wants more.
        found = re.findall(r"entry function '(\w+)'(?s:.*?)Used (\d+) registers", made.stderr)
        assert found, made.stderr
        for name, registers in found:
            assert int(registers) * (1024 if name == "parts" else 256) <= 65536, (
                name,
                architecture,
            )
