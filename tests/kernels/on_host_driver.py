"""Run with pycuda on `host_driver.cpp`: python on_host_driver.py DRIVER TWIN... ; prints JSON."""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import threading
from typing import Any

import numpy as np

NAMES = "retained device host streams events modules current launches most_retained"


def main() -> None:
    for twin in sys.argv[2:]:
        ctypes.CDLL(twin, mode=ctypes.RTLD_GLOBAL)
    # pycuda asks for libcuda.so.1, and the loader takes what is there by that name already.
    driver = ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL)
    print(json.dumps(scenario(driver)))


def counts(driver: Any) -> dict[str, int]:
    found = (ctypes.c_long * 9)()
    driver.host_driver_counts(found)
    return dict(zip(NAMES.split(), found, strict=True))


def scenario(driver: Any) -> dict[str, Any]:
    from real_frames import real_frame
    from test_matte_kernel import person

    from seg_stream.engines.contract import Engine, TensorSpec
    from seg_stream.engines.cuda import Gpu
    from seg_stream.engines.device_engine import DeviceEngine
    from seg_stream.engines.model_info import ModelInfo
    from seg_stream.pipeline.effect import VirtualBackground
    from seg_stream.pipeline.errors import SegStreamError
    from seg_stream.pipeline.matte import MatteSettings
    from seg_stream.pipeline.runner import Stage, run

    input_spec = TensorSpec("input", (1, 3, 60, 96), "float16", "NCHW", "pixels")
    output_spec = TensorSpec("alpha", (1, 1, 60, 96), "float32", "NCHW", "0..1")
    masks = [person(96, 60, seed) for seed in range(6)]

    class OnDevice(DeviceEngine):
        name = "masks"

        def __init__(self, gpu: Gpu) -> None:
            super().__init__(gpu, ModelInfo(name="masks"), input_spec, output_spec)
            self.masks = [gpu.call(gpu.pinned, output_spec.shape, np.float32) for _ in masks]
            for pinned, mask in zip(self.masks, masks, strict=True):
                pinned.array[0, 0] = mask
            self.count = 0

        def enqueue(self, stream: Any) -> None:
            self.gpu.upload(self.output_memory, self.masks[self.count % len(masks)], stream)
            self.count += 1

    class OnHost(Engine):
        name, info, input, output = "masks", ModelInfo(name="masks"), input_spec, output_spec
        count = 0

        def infer(self, tensor: Any) -> Any:
            self.count += 1
            return masks[(self.count - 1) % len(masks)].copy()

        def close(self) -> None:
            pass

    found: dict[str, Any] = {}
    frames = [real_frame("yuv420p", 320, 180, index=index) for index in range(6)]

    def through(engine: Any, rounds: int, background: str = "blur") -> list[Any]:
        made: list[Any] = []
        # The GPU holds no mask.
        matte = MatteSettings(hold=0)
        with VirtualBackground(
            background, engine="onnxruntime", matte=matte, keep_alpha=True
        ) as effect:
            effect.engine.close()
            effect.engine = engine
            run(frames * rounds, effect.stages, Stage("keep", made.append))
            if isinstance(engine, DeviceEngine):
                found["open"] = counts(driver)
        return made

    worst = 0
    for background in ("blur", "#20a040"):
        for ours, theirs in zip(
            through(OnDevice(Gpu()), 2, background), through(OnHost(), 2, background), strict=True
        ):
            pairs = zip(
                (*ours.planes, ours.alpha_hw), (*theirs.planes, theirs.alpha_hw), strict=True
            )
            worst = max(worst, *(int(np.abs(a.astype(int) - b).max()) for a, b in pairs))
    found["worst"] = worst
    found["closed"] = counts(driver)

    with OnDevice(Gpu()) as engine:  # the engine's own way, and calls from several threads
        mask = engine.infer(np.zeros(input_spec.shape, np.float32))
        found["infer"] = float(np.abs(mask - masks[0]).max())
        before, errors = counts(driver), []

        def work() -> None:
            try:
                for _ in range(20):
                    memory = engine.gpu.call(engine.gpu.memory, 1000)
                    engine.gpu.call(engine.gpu.release, memory)
            except BaseException as error:
                errors.append(repr(error))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found["errors"] = errors
        found["threads_leak"] = counts(driver)["device"] - before["device"]
        try:
            engine.gpu.memory(10)
        except SegStreamError as error:
            found["outside"] = str(error)
        found["current_outside"] = counts(driver)["current"]
    try:
        engine.gpu.call(int)
    except SegStreamError as error:
        found["after_close"] = str(error)

    lone = OnDevice(Gpu())
    driver.host_driver_fail(3)
    try:
        through(lone, 1)
    except SegStreamError as error:
        found["failure"] = str(error)
    lone.close()
    driver.host_driver_fail(0)
    gc.collect()
    found["after_failure"] = counts(driver)
    found["alive"] = [t.name for t in threading.enumerate()]
    return found


if __name__ == "__main__":
    main()
