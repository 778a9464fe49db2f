"""What a portrait model expects and gives: the metadata that travels inside its ONNX file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np

from seg_stream.pipeline.errors import UserError

METADATA_KEY = "seg_stream"
"""Key of the JSON text in the ONNX file's `metadata_props`."""

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class ModelInfo:
    """How to feed a model and how to read it; the shapes and types are in the ONNX graph itself.

    The network's input is `(pixel - input_mean) / input_std` per channel, with pixels 0..255 in
    the order of `input_colour`. Models exported by this project scale inside the graph and take
    plain pixels (mean 0, std 1).

    Raises:
        ValueError: a value is not what it should be.
    """

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

    # By hand, since every start reads a description and no library checks one as quickly as it
    # takes to load it.
    def __post_init__(self) -> None:
        for key in ("name", "version", "trained_on", "licence"):
            _require(isinstance(getattr(self, key), str), key, "a text")
        for key in ("input_layout", "output_layout"):
            _require(getattr(self, key) in ("NCHW", "NHWC"), key, "NCHW or NHWC")
        _require(self.input_colour in ("RGB", "BGR"), "input_colour", "RGB or BGR")
        _require(_are_numbers(self.input_mean), "input_mean", "three numbers")
        above = _are_numbers(self.input_std) and min(self.input_std) > 0
        _require(above, "input_std", "three numbers above 0")
        channel = self.output_channel
        _require(type(channel) is int and channel >= 0, "output_channel", "0 or more")
        for key in ("input_mean", "input_std"):
            object.__setattr__(self, key, tuple(float(each) for each in getattr(self, key)))

    @classmethod
    def of(cls, values: object) -> ModelInfo:
        """Make one of a table that was read.

        Raises:
            ValueError: it is no table, lacks a name, holds something unknown, or a wrong value.
        """
        if not isinstance(values, dict):
            raise ValueError(f"found {type(values).__name__}, expected a table")
        known = {field.name for field in fields(cls)}
        for key in values:
            _require(key in known, str(key), f"one of {', '.join(sorted(known))}")
        _require("name" in values, "name", "a text")
        return cls(**values)

    @classmethod
    def from_json(cls, text: str) -> ModelInfo:
        """Read what `to_json` wrote.

        Raises:
            ValueError: see `of`.
        """
        return cls.of(json.loads(text))

    def to_json(self) -> str:
        """The description as text, for the model's metadata."""
        return json.dumps(asdict(self))

    @property
    def scales_input(self) -> bool:
        """Whether the network takes something other than plain pixels."""
        return any(self.input_mean) or any(std != 1 for std in self.input_std)


def _require(right: bool, key: str, expected: str) -> None:
    if not right:
        raise ValueError(f"{key}: expected {expected}")


def _are_numbers(values: object) -> bool:
    return (
        isinstance(values, (list, tuple))
        and len(values) == 3
        and all(type(each) in (int, float) and abs(each) <= _LARGEST for each in values)
    )


def _require_folder(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir():
            return
    raise UserError(f"{path} is no folder of descriptions; check its path.")


def read_info(
    model: Path, metadata: Mapping[str, str], descriptions: Path | None = None
) -> ModelInfo:
    """Read a model's description from a TOML file (`NAME.toml`), or from its metadata.

    Args:
        model: the ONNX file; the description is looked for beside it.
        metadata: of the ONNX file.
        descriptions: a folder in which it is looked for first.

    Raises:
        UserError: there is no description, or it is malformed, or `descriptions` is no folder.
    """
    if descriptions:
        _require_folder(descriptions)
    beside = model.with_suffix(".toml")
    elsewhere = [descriptions / beside.name] if descriptions else []
    try:
        for path in (*elsewhere, beside):
            if path.is_file():
                import tomllib

                return ModelInfo.of(tomllib.loads(path.read_text("utf-8-sig")))
        if METADATA_KEY in metadata:
            return ModelInfo.from_json(metadata[METADATA_KEY])
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"The description of {model} is malformed: {reason}.") from None
    raise UserError(
        f"{model} does not say how it wants its input; export it with seg-export, "
        f"or describe it in {beside.name} beside it (name, input_layout, input_mean …)."
    )
