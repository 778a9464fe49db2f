"""Open an engine by the name that the user gave, or the best one that works here."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

from seg_stream.engines.contract import Engine
from seg_stream.engines.installed import require_cuda_provider, require_library
from seg_stream.engines.models import DEFAULT, find_model
from seg_stream.engines.onnxruntime_cpu import OnnxRuntimeEngine
from seg_stream.pipeline.errors import SegStreamError, Stopped, UserError

_log = logging.getLogger(__name__)

TENSORRT = ("tensorrt", "tensorrt-rtx")
ON_GPU = (*TENSORRT, "cuda")
ENGINES = (*ON_GPU, "onnxruntime")
"""Engines by name, the best first."""


@dataclass(frozen=True)
class EngineChoice:
    """Which engine is wanted."""

    name: str = "auto"
    """An engine of `ENGINES`, or auto."""
    gpu: int = 0
    """Which GPU, as `nvidia-smi` counts them."""
    require_gpu: bool = False
    """Fail rather than run on the CPU, and wait where an engine has to be built first."""


def open_engine(
    engine: str | EngineChoice = "auto",
    model: str | Path = DEFAULT,
    *,
    threads: int | None = None,
    descriptions: Path | None = None,
) -> Engine:
    """Load a model into an engine; `auto` takes the best one that works here.

    While an engine for the GPU has to be built first, the one that is returned runs on ONNX
    Runtime and changes over when it is done.

    Args:
        engine: a name, or a choice.
        model: a shipped model's name, an ONNX file, or an engine file made by seg-export.
        threads: how many the network uses on a CPU; all cores by default.
        descriptions: folder of `NAME.toml` for models that do not describe themselves.

    Raises:
        UserError: there is no such engine or model, or the model does not fit.
        SegStreamError: no engine works here; says why for each one that was tried.
    """
    choice = EngineChoice(engine) if isinstance(engine, str) else engine
    search = _Search(choice, find_model(model), threads, descriptions)
    names = search.names()
    for name in names:
        found = search.open(name, build=choice.require_gpu or search.by_hand)
        if found:
            found.notes = [*found.notes, *search.notes(found)]
            return found
    if search.unbuilt:
        return search.switching()
    raise search.failure()


class _Search:
    """Engines that were tried for a model, and what they said."""

    def __init__(
        self, choice: EngineChoice, model: Path, threads: int | None, descriptions: Path | None
    ) -> None:
        self._choice, self._model = choice, model
        self._threads, self._descriptions = threads, descriptions
        self._errors: dict[str, SegStreamError] = {}
        self.by_hand = model.suffix == ".engine"
        self.unbuilt: list[str] = []

    def names(self) -> tuple[str, ...]:
        """Those that come into question, the best first.

        Raises:
            UserError: none does.
        """
        choice = self._choice
        if choice.name not in ("auto", *ENGINES):
            raise UserError(
                f"The engine '{choice.name}' is not known; choose auto or {', '.join(ENGINES)}."
            )
        if choice.require_gpu and choice.name == "onnxruntime":
            raise UserError("--engine onnxruntime runs on the CPU; leave out --require-gpu.")
        if self.by_hand and choice.name not in ("auto", *TENSORRT):
            raise UserError(
                f"{self._model} is a TensorRT engine; leave out --engine {choice.name}."
            )
        if choice.name != "auto":
            return (choice.name,)
        if self.by_hand:
            return TENSORRT
        return ON_GPU if choice.require_gpu else ENGINES

    def open(self, name: str, *, build: bool, stop: Event | None = None) -> Engine | None:
        """The engine of that name, tried on zeros; None if it does not work, or is to be built."""
        try:
            if name == "onnxruntime":
                if self.unbuilt:
                    return None  # it runs until the other one is there
                return OnnxRuntimeEngine(
                    self._model, threads=self._threads, descriptions=self._descriptions
                )
            if name == "cuda":
                require_cuda_provider()
                from seg_stream.engines.onnxruntime_cuda import OnnxRuntimeCudaEngine

                return None if self.unbuilt else OnnxRuntimeCudaEngine(
                    self._model, index=self._choice.gpu, descriptions=self._descriptions
                )  # fmt: skip
            require_library(name)
            from seg_stream.engines.tensorrt_engine import NotBuiltError, TensorRtEngine

            told = partial(_tell, f"{name} for {self._model.stem}") if stop is None else None
            try:
                return TensorRtEngine(
                    name, self._model, index=self._choice.gpu, descriptions=self._descriptions,
                    build=build, progress=told, stop=stop,
                )  # fmt: skip
            except NotBuiltError:
                self.unbuilt.append(name)
        except Stopped:
            raise
        except SegStreamError as error:
            self._errors[name] = error
        return None

    def switching(self) -> Engine:
        """ONNX Runtime now, the first engine of `unbuilt` that works as soon as it is built."""
        from seg_stream.engines.switching import SwitchingEngine

        wanted, self.unbuilt = self.unbuilt, []
        first = self.open("cuda", build=False) or self.open("onnxruntime", build=False)
        if first is None:
            raise self.failure()
        first.notes = [*first.notes, *self.notes(first)]

        def later(stop: Event) -> Engine:
            for name in wanted:
                if engine := self.open(name, build=True, stop=stop):
                    return engine
            raise SegStreamError(self._reasons(wanted))

        return SwitchingEngine(first, later, " or ".join(wanted))

    def notes(self, found: Engine) -> list[str]:
        """Why it is this one and not a better one, where there is a GPU that could be used."""
        if not self._errors or not has_driver():
            return []
        return [f"The engine is {found.name}; not {self._reasons(list(self._errors))}"]

    def failure(self) -> SegStreamError:
        """What to tell the user when none works."""
        if not self._choice.require_gpu and not (self.by_hand and len(self._errors) > 1):
            return list(self._errors.values())[-1]
        kind = UserError if _all_users(self._errors) else SegStreamError
        return kind(f"No engine works on a GPU here: {self._reasons(list(self._errors))}")

    def _reasons(self, names: list[str]) -> str:
        reasons = [f"{name}: {str(self._errors[name]).rstrip('.')}" for name in names]
        return "; ".join(reasons) + "."


def _all_users(errors: dict[str, SegStreamError]) -> bool:
    return all(isinstance(error, UserError) for error in errors.values())


def _tell(what: str, phase: str, share: float) -> None:
    """Log the beginning of a build that is waited for."""
    from seg_stream.engines.tensorrt_build import FIRST_PHASE

    if (phase, share) == (FIRST_PHASE, 0.0):
        _log.warning("Building the engine of %s, once; this can take minutes.", what)


def has_driver() -> bool:
    """Whether an NVIDIA driver is installed, so that not using a GPU is worth a word."""
    return any(
        Path(name).exists()
        for name in ("/proc/driver/nvidia/version", r"C:\Windows\System32\nvcuda.dll")
    )
