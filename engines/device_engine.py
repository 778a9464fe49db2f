"""An engine whose tensors stay on the GPU, beside the kernels that fill and read them."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from seg_stream.engines.contract import Engine, TensorSpec, check_mask
from seg_stream.engines.cuda import Gpu, Stream
from seg_stream.engines.model_info import ModelInfo
from seg_stream.pipeline.errors import SegStreamError
from seg_stream.pipeline.types import FloatImage


class DeviceEngine(Engine):
    """Runs a model between two tensors in the GPU's memory.

    Whoever has frames on the GPU fills `input_memory`, calls `enqueue` and reads `output_memory`,
    all on one stream and in the GPU's thread (`Gpu.call`). `infer` does the same with tensors of
    the host. The specs' dtype is what the memory holds: float32 or float16.

    Args:
        gpu: the GPU; the engine owns it from now on, and closes it.
        info: how to feed the model.
        input: of the network.
        output: of the network.
    """

    def __init__(self, gpu: Gpu, info: ModelInfo, input: TensorSpec, output: TensorSpec) -> None:
        self.gpu, self.info, self.input, self.output = gpu, info, input, output
        self._closed = False
        gpu.call(self._allocate)

    def _allocate(self) -> None:
        gpu = self.gpu
        sizes = [int(np.prod(spec.shape)) for spec in (self.input, self.output)]
        bytes_in, bytes_out = (
            size * np.dtype(spec.dtype).itemsize
            for size, spec in zip(sizes, (self.input, self.output), strict=True)
        )
        self.input_memory, self.output_memory = gpu.memory(bytes_in), gpu.memory(bytes_out)
        self._host_in = gpu.pinned(self.input.shape, self.input.dtype)
        self._host_out = gpu.pinned(self.output.shape, self.output.dtype)
        self._stream, self._done = gpu.stream(), gpu.event()

    @abstractmethod
    def enqueue(self, stream: Stream) -> None:
        """Begin to run the network from `input_memory` to `output_memory`; in the GPU's thread.

        Raises:
            SegStreamError: the engine refuses.
        """

    def unload(self) -> None:
        """Let go of all that the engine's library made; in the GPU's thread, and maybe twice."""

    def infer(self, tensor: FloatImage) -> FloatImage:
        """See `Engine.infer`."""
        if tensor.shape != self.input.shape or tensor.dtype != np.float32:
            raise ValueError(
                f"got {tensor.dtype} {tensor.shape}, expected float32 {self.input.shape}"
            )
        first = self._run(tensor)[0]
        channel = self.info.output_channel
        mask_hw = first[channel] if self.output.layout == "NCHW" else first[..., channel]
        return check_mask(mask_hw.astype(np.float32))

    def on_device(self) -> DeviceEngine:
        """See `Engine.on_device`."""
        if self._closed:
            raise SegStreamError("The engine is closed; open a new one.")
        return self

    def warm_up(self) -> None:
        """Run on zeros: shows that it works, and does what is done late before the first frame."""
        self._run(np.zeros(self.input.shape, np.float32))

    def _run(self, tensor: FloatImage) -> npt.NDArray[Any]:
        """The output in pinned memory, which the next run writes again."""
        if self._closed:
            raise SegStreamError("The engine is closed; open a new one.")
        np.copyto(self._host_in.array, tensor, casting="same_kind")
        try:
            self.gpu.call(self._begin)
            self.gpu.wait(self._done)
        except SegStreamError as error:
            raise SegStreamError(f"{self.name} failed on a frame: {error}") from error
        return self._host_out.array

    def _begin(self) -> None:
        self.gpu.upload(self.input_memory, self._host_in, self._stream)
        self.enqueue(self._stream)
        self.gpu.download(self._host_out, self.output_memory, self._stream)
        self._done.record(self._stream)

    def close(self) -> None:
        """See `Engine.close`."""
        if not self._closed:
            self._closed = True
            with suppress(SegStreamError):  # the GPU failed; what is left goes with it
                self.gpu.call(self.unload)
            self.gpu.close()
