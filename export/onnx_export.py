"""From a trained Keras file to an ONNX file that was shown to give the same: all steps in order."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from seg_stream.engines.model_info import METADATA_KEY, ModelInfo
from seg_stream.export.interface import Interface, keras_alpha, read_interface
from seg_stream.export.keras_to_onnx import keras_to_onnx
from seg_stream.export.load import load_keras
from seg_stream.export.parity import Parity, measure_parity, onnx_runtime, require_parity
from seg_stream.export.photographs import read_photographs
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.sinks.part_file import write_whole


@dataclass(frozen=True)
class ExportReport:
    """What was written and how it was shown to be right."""

    interface: Interface
    parameters: int
    onnx_bytes: int
    operators: Counter[str]
    parity: Parity


@dataclass(frozen=True)
class Settings:
    """What a Keras file leaves open."""

    size: tuple[int, int] | None = None
    """(height, width) for a model that leaves them open."""
    input_range: int | None = None
    """255 or 1, see `read_interface`."""
    person_class: int = 1
    """The channel of a softmax output that is the person."""
    images: Path | None = None
    """Folder of photographs to compare on; None takes those of scikit-image."""
    name: str = ""
    """The model's name in its metadata; the file's by default."""
    trained_on: str = ""
    licence: str = ""
    """Of the weights."""


def export_onnx(model_path: Path, output: Path, settings: Settings | None = None) -> ExportReport:
    """Convert a `.keras` file, compare the two on photographs, then write the ONNX file.

    An existing file at `output` is replaced only by a whole one that has passed.

    Args:
        model_path: the Keras 3 file.
        output: where the ONNX file goes, `.onnx`.
        settings: what the Keras file leaves open.

    Raises:
        UserError: something about the model, the files or the options stands in the way.
        ParityError: the exported model gives something else; nothing was written.
    """
    check_output(output)
    content, report = checked_onnx(model_path, settings or Settings())
    write_whole(output, content)
    return report


def checked_onnx(model_path: Path, settings: Settings) -> tuple[bytes, ExportReport]:
    """Convert a `.keras` file and compare the two on photographs; see `export_onnx`.

    Returns:
        The ONNX file's content, and how it was shown to be right.
    """
    model = load_keras(model_path)
    interface = read_interface(model, settings.size, settings.input_range, settings.person_class)
    photographs = read_photographs(settings.images, interface.height, interface.width)
    graph = keras_to_onnx(model, interface)
    info = ModelInfo(
        name=settings.name or model_path.stem,
        version=version("seg-stream"),
        trained_on=settings.trained_on,
        licence=settings.licence,
    )
    graph.metadata_props.add(key=METADATA_KEY, value=info.to_json())
    content = graph.SerializeToString()
    reference = partial(keras_alpha, model, interface)
    parity = measure_parity(onnx_runtime(content), reference, photographs)
    require_parity(parity)
    return content, ExportReport(
        interface=interface,
        parameters=model.count_params(),
        onnx_bytes=len(content),
        operators=Counter(node.op_type for node in graph.graph.node),
        parity=parity,
    )


def check_output(output: Path, suffix: str = ".onnx") -> None:
    """Find out before the work starts whether the file can be written.

    Raises:
        UserError: the name, the folder or its permissions do not allow it.
    """
    if output.suffix != suffix:
        raise UserError(f"The output {output} must end in {suffix}; change -o.")
    if output.is_dir():
        raise UserError(f"The output {output} is a folder; give a file name with -o.")
    if not output.parent.is_dir():
        raise UserError(f"The folder {output.parent} does not exist; create it or change -o.")
    if not os.access(output.parent, os.W_OK):
        raise UserError(f"The folder {output.parent} cannot be written to; change -o.")
