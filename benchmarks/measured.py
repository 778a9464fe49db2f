"""Run a command and print, after what it printed, how long it took and what it used, as JSON.

This file is started by its path, without the package and before anything large is loaded: the
highest memory of a process counts that of the process which started it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from time import perf_counter

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


def main() -> int:
    """Run it; returns its exit code."""
    start_s = perf_counter()
    code = subprocess.run(sys.argv[1:], check=False).returncode
    figures: dict[str, float | None] = {
        "start_s": start_s,
        "wall_s": perf_counter() - start_s,
        "cpu_s": None,
        "memory_mib": None,
    }
    if resource is not None:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        unit = 1 if sys.platform == "darwin" else 1024
        figures["cpu_s"] = usage.ru_utime + usage.ru_stime
        figures["memory_mib"] = usage.ru_maxrss * unit / 2**20
    print(json.dumps(figures), flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
