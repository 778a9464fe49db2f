"""Whether what an engine needs is installed, said without loading any of it."""

from __future__ import annotations

from importlib.util import find_spec

import onnxruntime as ort

from seg_stream.pipeline.errors import UserError

LIBRARIES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
"""Modules by the engine's name, the faster first."""

PACKAGES = {"tensorrt": "seg-stream[gpu]", "tensorrt-rtx": "seg-stream[rtx]"}
"""What to install to get it."""

CUDA_PROVIDER = "CUDAExecutionProvider"


def require_library(name: str) -> None:
    """Check that TensorRT or TensorRT-RTX is there.

    Raises:
        UserError: it is not.
    """
    try:
        there = find_spec(LIBRARIES[name]) is not None
    except ValueError:  # it was put out of reach
        there = False
    if not there:
        raise UserError(
            f"The package {LIBRARIES[name]} is not installed; run pip install '{PACKAGES[name]}'."
        )


def require_cuda_provider() -> None:
    """Check that this ONNX Runtime is one for NVIDIA GPUs.

    Raises:
        UserError: it is not.
    """
    if CUDA_PROVIDER not in ort.get_available_providers():
        raise UserError(
            "The installed onnxruntime has no CUDA; run pip uninstall onnxruntime, then "
            "pip install onnxruntime-gpu."
        )
