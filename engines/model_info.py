"""What a portrait model expects and gives: the metadata that travels inside its ONNX file."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

METADATA_KEY = "seg_stream"
"""Key of the JSON text in the ONNX file's `metadata_props`."""


class ModelInfo(BaseModel):
    """How to feed a model and how to read it; the shapes and types are in the ONNX graph itself.

    The network's input is `(pixel - input_mean) / input_std` per channel, with pixels 0..255 in
    the order of `input_colour`. Models exported by this project scale inside the graph and take
    plain pixels (mean 0, std 1).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str = ""
    trained_on: str = ""
    licence: str = ""
    input_layout: Literal["NCHW", "NHWC"] = "NCHW"
    input_colour: Literal["RGB", "BGR"] = "RGB"
    input_mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    input_std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    output_layout: Literal["NCHW", "NHWC"] = "NCHW"
    output_channel: int = 0
    """Channel of the output that is the probability of the person, 0..1."""
