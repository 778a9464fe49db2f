"""Make the PTX of every file of kernels with nvcc; run by `make kernels`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from seg_stream.engines.kernels import STAMP, source_hash

FOLDER = Path(__file__).parent
"""The sources of the repository, not of the installed package."""

OLDEST = "compute_75"
"""The PTX runs on this and every newer GPU."""


def main() -> None:
    """Write the PTX files that are older than their sources."""
    for source in sorted(FOLDER.glob("*.cu")):
        stamp = STAMP + source_hash(source)
        target = source.with_suffix(".ptx")
        if target.exists() and target.read_text("ascii").startswith(stamp):
            continue
        command = ["nvcc", "-std=c++17", "-O3", f"-arch={OLDEST}", "-ptx", "-o", "-", str(source)]
        try:
            made = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            sys.exit("nvcc was not found; install the CUDA toolkit, or put its bin on the PATH.")
        if made.returncode:
            sys.exit(f"nvcc refuses {source.name}:\n{made.stderr}")
        target.write_text(f"{stamp}\n{made.stdout}", "ascii")
        print(f"made {target.name}")


if __name__ == "__main__":
    main()
