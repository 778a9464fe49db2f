"""What is written beside an engine file: what it was built from and for, and how it was checked."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from seg_stream.engines.model_info import ModelInfo
from seg_stream.pipeline.errors import UserError


class EngineReport(BaseModel):
    """The JSON text beside `NAME.engine`, in `NAME.engine.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    info: ModelInfo
    engine: str
    """`tensorrt` or `tensorrt-rtx`."""
    engine_version: str
    engine_sha256: str
    engine_bytes: int
    onnx_sha256: str
    """Of the FP32 model."""
    seg_stream: str
    gpu: str = ""
    """The GPU that it was built on, and runs on alone; empty for TensorRT-RTX."""
    build_s: float
    photographs: int
    iou: float = Field(ge=0, le=1)
    """Intersection over union of the FP16 and FP32 masks of all photographs."""
    max_abs_error: float
    fp16_layers: int
    fp32_layers: dict[str, str] = Field(default_factory=dict)
    """Layers that were kept in FP32, and why."""

    @field_validator("info", mode="before")
    @classmethod
    def _strictly(cls, info: object) -> object:
        return info if isinstance(info, ModelInfo) else ModelInfo.of(info)


def report_path(engine: Path) -> Path:
    """Where the report of an engine file is."""
    return engine.with_name(f"{engine.name}.json")


def read_report(engine: Path) -> EngineReport | None:
    """The report beside an engine file; None if there is none.

    Raises:
        UserError: it is malformed, or about another engine.
    """
    path = report_path(engine)
    if not path.is_file():
        return None
    try:
        report = EngineReport.model_validate_json(path.read_bytes())
        digest = hashlib.sha256(engine.read_bytes()).hexdigest()
    except (OSError, ValidationError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} cannot be read as an engine's report ({reason}); export the engine again."
        ) from None
    if digest != report.engine_sha256:
        raise UserError(f"{path} is about another engine than {engine}; export the engine again.")
    return report
