"""What a portrait model expects and gives: the metadata that travels inside its ONNX file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError

from seg_stream.pipeline.errors import UserError

METADATA_KEY = "seg_stream"
"""Key of the JSON text in the ONNX file's `metadata_props`."""


class ModelInfo(BaseModel):
    """How to feed a model and how to read it; the shapes and types are in the ONNX graph itself.

    The network's input is `(pixel - input_mean) / input_std` per channel, with pixels 0..255 in
    the order of `input_colour`. Models exported by this project scale inside the graph and take
    plain pixels (mean 0, std 1).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    version: str = ""
    trained_on: str = ""
    licence: str = ""
    input_layout: Literal["NCHW", "NHWC"] = "NCHW"
    input_colour: Literal["RGB", "BGR"] = "RGB"
    input_mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    input_std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (1.0, 1.0, 1.0)
    output_layout: Literal["NCHW", "NHWC"] = "NCHW"
    output_channel: int = Field(default=0, ge=0)
    """Channel of the output that is the probability of the person, 0..1."""

    @property
    def scales_input(self) -> bool:
        """Whether the network takes something other than plain pixels."""
        return any(self.input_mean) or any(std != 1 for std in self.input_std)


def read_info(
    model: Path, metadata: Mapping[str, str], descriptions: Path | None = None
) -> ModelInfo:
    """Read a model's description from a TOML file (`NAME.toml`), or from its metadata.

    Args:
        model: the ONNX file; the description is looked for beside it.
        metadata: of the ONNX file.
        descriptions: a folder in which it is looked for first.

    Raises:
        UserError: there is no description, or it is malformed.
    """
    beside = model.with_suffix(".toml")
    elsewhere = [descriptions / beside.name] if descriptions else []
    try:
        for path in (*elsewhere, beside):
            if path.is_file():
                return ModelInfo.model_validate(tomllib.loads(path.read_text("utf-8-sig")))
        if METADATA_KEY in metadata:
            return ModelInfo.model_validate_json(metadata[METADATA_KEY])
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, e['loc'])) or 'text'}: {e['msg']}" for e in error.errors())
        raise UserError(f"The description of {model} is malformed: {'; '.join(faults)}.") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"The description of {model} is malformed: {reason}.") from None
    raise UserError(
        f"{model} does not say how it wants its input; export it with seg-export, "
        f"or describe it in {beside.name} beside it (name, input_layout, input_mean …)."
    )
