"""Room on the disk, and folders that can be written."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from seg_stream.engines.cache import cache_folder
from seg_stream.pipeline.doctor.finding import Finding, right, wrong

LEAST_GB = 1.0


def check_cache(folder: Path | None = None) -> Finding:
    """Whether built engines can be kept, so that only the first start is slow."""
    return _check("cache", cache_folder() if folder is None else folder, "set SEG_STREAM_CACHE")


def check_temporary(folder: Path | None = None) -> Finding:
    """Whether the system's temporary folder can be used."""
    folder = Path(tempfile.gettempdir()) if folder is None else folder
    return _check("temporary files", folder, "set TMPDIR")


def _check(subject: str, folder: Path, other: str) -> Finding:
    """Write something where a folder is, or would be made."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    fix = f"make {folder} writable, or {other} to a folder that is"
    if not place.is_dir():
        return wrong(subject, f"{place} is no folder", fix)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"seg-doctor")
            file.flush()
        free_gb = shutil.disk_usage(place).free / 1e9
    except OSError as error:
        return wrong(subject, f"{folder} cannot be written ({error.strerror})", fix)
    if free_gb < LEAST_GB:
        return wrong(subject, f"{folder}: {free_gb:.1f} GB are free", f"make room, or {other}")
    return right(subject, f"{folder}, {free_gb:.0f} GB free")
