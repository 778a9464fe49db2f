"""Step 1: read the trained Keras model."""

from __future__ import annotations

import importlib.util
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from seg_stream.pipeline.errors import UserError

if TYPE_CHECKING:
    import keras


def require_export_extra() -> None:
    """Check that the packages of the `export` extra are there and Keras runs on TensorFlow.

    Raises:
        UserError: says what to install or to set.
    """
    for module in ("tensorflow", "keras", "tf2onnx", "onnx"):
        require_module(module)
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"Keras runs on {keras.backend.backend()}, but exporting needs TensorFlow: "
            "set the environment variable KERAS_BACKEND=tensorflow."
        )


def require_module(module: str) -> None:
    """Check that a package is there.

    Raises:
        UserError: says how to install it.
    """
    try:
        there = importlib.util.find_spec(module) is not None
    except ValueError:  # it was taken out by hand
        there = False
    if not there:
        raise UserError(
            f"Exporting needs the package {module}, which is not installed: "
            "run pip install 'seg-stream[export]'."
        )


def load_keras(path: Path) -> keras.Model:
    """Read a `.keras` file without running any code that it carries (`safe_mode`).

    Returns:
        A Functional model with one input and one output tensor, not compiled.

    Raises:
        UserError: there is no such file, it is not a Keras 3 file, it needs classes or code from
            elsewhere, or it has more than one input or output.
    """
    if not path.is_file():
        raise UserError(f"The model {path} does not exist; check the path.")
    if path.suffix != ".keras" or not zipfile.is_zipfile(path):
        raise UserError(
            f"{path} is not a Keras 3 model; save yours with model.save('model.keras')."
        )
    require_export_extra()
    import keras

    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises almost anything on a file that is no model
        raise UserError(_why_unreadable(path, str(error))) from error
    return single_tensor_model(model, path.name)


def single_tensor_model(model: keras.Model, name: str) -> keras.Model:
    """Return the same layers and weights with one plain tensor in and one out.

    Raises:
        UserError: the model was never built, or has more than one input or output.
    """
    import keras

    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise UserError(
            f"{name} has no defined input; build it as a Functional or Sequential Keras model."
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UserError(
            f"{name} must have one picture in and one mask out, but {len(model.inputs)} tensors go "
            f"in and {len(model.outputs)} come out; export a model of one input and one output."
        )
    return keras.Model(model.inputs[0], model.outputs[0], name=model.name)


def _why_unreadable(path: Path, message: str) -> str:
    unknown = re.search(r"Could not locate (?:class|function) '([^']+)'", message)
    if unknown:
        return (
            f"{path} uses {unknown[1]}, which is not a Keras layer; rebuild the model from the "
            "layers that Keras has."
        )
    if "lambda" in message.lower():
        return (
            f"{path} has a Lambda layer, whose code is not run for safety; rebuild the model from "
            "the layers that Keras has."
        )
    first_line = message.strip().partition("\n")[0][:200]
    return f"{path} cannot be read as a Keras 3 model ({first_line}); save it again."
