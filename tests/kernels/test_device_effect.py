"""The whole effect with a device engine against the one on the CPU; the kernels run as C++ here."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from host_gpu import HostEngine
from real_frames import picture_bgr, real_frame

from seg_stream.engines.models import find_model
from seg_stream.pipeline.effect import VirtualBackground
from seg_stream.pipeline.errors import SegStreamError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.look import Look
from seg_stream.pipeline.matte import MatteSettings
from seg_stream.pipeline.runner import Stage, run

MODEL = "portrait-lite"

MOST = 2
"""Each kernel is within one step of the CPU, as its own tests show; the network and the matte
between them can make one of it two."""

EVERY_FRAME = MatteSettings(hold=0)
"""The GPU holds no mask."""


def on_cpu(frames: Sequence[Frame], **options: Any) -> list[Frame]:
    with VirtualBackground(
        model=MODEL, engine="onnxruntime", matte=EVERY_FRAME, **options
    ) as effect:
        return [effect.process(frame) for frame in frames]


def device_effect(gpu: Any, **options: Any) -> VirtualBackground:
    effect = VirtualBackground(model=MODEL, engine="onnxruntime", matte=EVERY_FRAME, **options)
    effect.engine.close()
    effect.engine = HostEngine(gpu, find_model(MODEL))
    return effect


def check(made: Sequence[Frame], expected: Sequence[Frame], *, cut: bool = False) -> None:
    """Compare frames; of cut-outs what is seen, for a colour begins where alpha is still 0."""
    assert len(made) == len(expected)
    for ours, theirs in zip(made, expected, strict=True):
        assert (ours.index, ours.pts, ours.colour) == (theirs.index, theirs.pts, theirs.colour)
        for a, b in zip(ours.planes, theirs.planes, strict=True):
            difference = np.abs(a.astype(np.float32) - b)
            if cut and theirs.alpha_hw is not None:
                seen = cv2.resize(theirs.alpha_hw, b.shape[1::-1], interpolation=cv2.INTER_AREA)
                difference *= (seen if b.ndim == 2 else seen[..., None]) / np.float32(255)
            assert difference.max() <= MOST
            assert (difference > 1).mean() < 1e-4
        assert (ours.alpha_hw is None) == (theirs.alpha_hw is None)
        if ours.alpha_hw is not None and theirs.alpha_hw is not None:
            assert np.abs(ours.alpha_hw.astype(int) - theirs.alpha_hw).max() <= MOST


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "behind.png"
    cv2.imwrite(str(path), picture_bgr(index=60)[:, ::-1])
    return path


@pytest.mark.parametrize("format", ["yuv420p", "bgr24"])
@pytest.mark.parametrize("background", ["blur", "#00b140", "picture", "transparent"])
def test_frames_through_the_threads_are_the_cpus(
    gpu: Any, picture: Path, format: Any, background: str
) -> None:
    background = str(picture) if background == "picture" else background
    frames = [real_frame(format, 480, 270, index=index) for index in range(3)]
    with device_effect(gpu, background=background) as effect:
        made: list[Frame] = []
        run(frames, effect.stages, Stage("keep", made.append))
    check(made, on_cpu(frames, background=background), cut=background == "transparent")


def test_one_upload_and_one_download_a_frame(gpu: Any, picture: Path) -> None:
    frames = [real_frame("yuv420p", 320, 240, index=index) for index in range(5)]
    with device_effect(gpu, background=picture) as effect:
        effect.process(frames[0])  # the background goes up once
        before, held = dict(gpu.copied), len(gpu.held)
        for frame in frames[1:]:
            effect.process(frame)
            effect.process(frame)
        assert gpu.copied["up"] - before["up"] == gpu.copied["down"] - before["down"] == 8
        assert len(gpu.held) - held <= 4  # the second place's buffers


def test_frames_can_change_their_size(gpu: Any) -> None:
    sizes = [(320, 240), (320, 240), (161, 121), (161, 121), (320, 240), (320, 240)]
    frames = [real_frame("yuv444p", *size, index=index) for index, size in enumerate(sizes)]
    with device_effect(gpu, background="blur", keep_alpha=True) as effect:
        made = [effect.process(frame) for frame in frames]
        held = len(gpu.held)
        for frame in frames:
            effect.process(frame)
        assert len(gpu.held) == held, "something of the old size is kept"
    check(made, on_cpu(frames, background="blur", keep_alpha=True))


def test_dropped_frames_give_their_place_back(gpu: Any) -> None:
    frame = real_frame("yuv420p", 320, 240)
    with device_effect(gpu, background="#204060") as effect:
        begin = effect.stages[1].call
        for _ in range(5):
            begin(effect.stages[0].call(frame))  # as a live hand-over drops what is too old
        gc.collect()
        made = effect.process(frame)
    check([made], on_cpu([frame], background="#204060")[:1])


def test_a_frame_belongs_to_who_got_it(gpu: Any) -> None:
    frames = [real_frame("yuv420p", 320, 240, index=index) for index in range(4)]
    with device_effect(gpu, background="#204060") as effect:
        first = effect.process(frames[0])
        kept = [plane.copy() for plane in first.planes]
        for frame in frames[1:]:
            effect.process(frame)
    for plane, copy in zip(first.planes, kept, strict=True):
        np.testing.assert_array_equal(plane, copy)


def test_a_restart_forgets_and_a_network_that_is_at_fault_ends_the_run(gpu: Any) -> None:
    frames = [real_frame("yuv420p", 320, 240, index=index) for index in (0, 90)]
    with device_effect(gpu, background="#204060") as effect:
        effect.process(frames[0])
        effect.restart()
        check([effect.process(frames[1])], on_cpu(frames[1:], background="#204060"))
        engine: Any = effect.engine

        def fail(_: Any) -> None:
            engine.output_memory.numbers(np.float32, 1)[:] = np.nan

        engine.enqueue = fail
        with pytest.raises(SegStreamError, match="not a number"):
            effect.process(frames[0])


def test_with_every_the_frames_stay_with_the_cpu(gpu: Any) -> None:
    frames = [real_frame("yuv420p", 320, 240, index=index) for index in range(3)]
    with device_effect(gpu, background="#204060", every=2) as effect:
        made = [effect.process(frame) for frame in frames]
    assert not gpu.launched
    check(made, on_cpu(frames, background="#204060", every=2))


def test_a_look_is_made_by_the_cpu_also_from_the_middle_on(gpu: Any, picture: Path) -> None:
    look = Look(light_wrap=1.0)
    frames = [real_frame("yuv420p", 320, 240, index=index) for index in range(4)]
    with device_effect(gpu, background=picture) as effect:
        check([effect.process(frames[0])], on_cpu(frames[:1], background=picture))
        launched = len(gpu.launched)
        assert launched
        effect.look = look
        effect.restart()
        made = [effect.process(frame) for frame in frames[1:]]
        assert len(gpu.launched) == launched
    check(made, on_cpu(frames[1:], background=picture, look=look))
