"""Reads what a serialized TensorRT-RTX engine says of itself, in the text between its weights."""

from __future__ import annotations

import re
from dataclasses import dataclass

NHWC = (3, 0, 2, 1)
"""Channels lie closest together, as tensor cores want them."""


@dataclass(frozen=True)
class PlanTensor:
    dims: tuple[int, ...]
    order: tuple[int, ...]
    type: str
    constant: bool


@dataclass(frozen=True)
class PlanLayer:
    kind: str
    name: str
    inputs: list[str]
    outputs: list[str]


@dataclass(frozen=True)
class Plan:
    tensors: dict[str, PlanTensor]
    layers: list[PlanLayer]

    @property
    def between(self) -> list[str]:
        """The names of what is neither a convolution nor before the first or after the last."""
        convolutions = [i for i, layer in enumerate(self.layers) if layer in self.convolutions]
        inner = self.layers[convolutions[0] : convolutions[-1]]
        return [layer.name for layer in inner if layer not in self.convolutions]

    @property
    def convolutions(self) -> list[PlanLayer]:
        return [layer for layer in self.layers if layer.kind in ("corrltn", "deconvolution")]

    def activations(self, names: list[str]) -> list[PlanTensor]:
        """Those of the tensors that are pictures of features, not weights."""
        found = [self.tensors[name] for name in names if name in self.tensors]
        return [tensor for tensor in found if not tensor.constant and len(tensor.dims) == 4]


def read_plan(plan: bytes) -> Plan:
    text = "\n".join(run.decode() for run in re.findall(rb"[\x20-\x7e]{4,}", plan))
    tensors = {}
    for line in re.findall(r"^ *tensor=\{ (.*)\}$", text, re.MULTILINE):
        name = re.search(r'name="([^"]*)"', line)
        kind = re.search(r" type=(\w+)", line)
        dims, order = _numbers(line, " dims"), _numbers(line, "stride_order")
        if name and kind and "is_scratchspace" not in line:
            constant = "const_payload_size" in line
            tensors[name[1]] = PlanTensor(dims, order, kind[1], constant)
    layers = []
    for kind, line in re.findall(r"^ *(\w+)=\{ (name=.*)$", text, re.MULTILINE):
        if kind in ("function", "runtime_function"):
            kind = "function"
            read, all_of_them = _names(line, "input_args"), _names(line, " args")
            wrote = [name for name in all_of_them if name not in read]
            name = re.search(r"name=(\w+)", line)
        elif kind in ("corrltn", "deconvolution", "maxpool"):
            read, wrote = _names(line, " input"), _names(line, " output")
            name = re.search(r'name="([^"]*)"', line)
        else:
            continue
        layers.append(PlanLayer(kind, name[1] if name else "", read, wrote))
    return Plan(tensors, layers)


def _numbers(line: str, key: str) -> tuple[int, ...]:
    found = re.search(rf"{key}=\{{([^}}]*)\}}", " " + line)
    return tuple(int(number) for number in found[1].split()) if found else ()


def _names(line: str, key: str) -> list[str]:
    found = re.search(rf"{key}=\{{([^}}]*)\}}", " " + line)
    return re.findall(r'"([^"]*)"', found[1]) if found else []
