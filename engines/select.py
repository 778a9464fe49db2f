"""Open an engine by the name that the user gave."""

from __future__ import annotations

from pathlib import Path

from seg_stream.engines.contract import Engine
from seg_stream.engines.models import DEFAULT, find_model
from seg_stream.engines.onnxruntime_cpu import OnnxRuntimeEngine
from seg_stream.pipeline.errors import UserError

ENGINES = {"onnxruntime": OnnxRuntimeEngine}
"""Engines by name, the best first."""


def open_engine(
    name: str = "auto",
    model: str | Path = DEFAULT,
    *,
    threads: int | None = None,
    descriptions: Path | None = None,
) -> Engine:
    """Load a model into an engine; `auto` takes the best one that works here.

    Args:
        name: an engine of `ENGINES`, or auto.
        model: a shipped model's name, or an ONNX file.
        threads: how many the network uses on a CPU; all cores by default.
        descriptions: folder of `NAME.toml` for models that do not describe themselves.

    Raises:
        UserError: there is no such engine or model, or the model does not fit.
    """
    if name == "auto":
        name = next(iter(ENGINES))
    if name not in ENGINES:
        raise UserError(f"The engine '{name}' is not known; choose auto or {', '.join(ENGINES)}.")
    return ENGINES[name](find_model(model), threads=threads, descriptions=descriptions)
