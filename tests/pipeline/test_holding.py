"""The network rests while the picture stands still, and looks again as soon as it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frames import bgr_frame

from seg_stream.pipeline import effect as effect_module
from seg_stream.pipeline import matte as matte_module
from seg_stream.pipeline.effect import VirtualBackground
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.holding import LONGEST_S, Holding
from seg_stream.pipeline.matte import MatteSettings
from seg_stream.pipeline.runner import Stage, run
from seg_stream.pipeline.types import Image

LEVELS = MatteSettings.hold


def picture(seed: int = 0, noise: float = 0) -> Image:
    """128x256 of large and small things, and a camera's noise."""
    rng = np.random.default_rng(7)
    image = np.kron(rng.integers(40, 200, (16, 32, 3)), np.ones((8, 8, 1)))
    image += rng.normal(0, 10, image.shape)
    image += np.random.default_rng(seed).normal(0, noise, image.shape) if noise else 0
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def looks(pictures: list[list[Image]], levels: float = LEVELS, rate: int = 30) -> list[int]:
    """The number of the look that each has its mask from, counted from 1."""
    holding = Holding()
    return [holding(planes, index / rate, levels) for index, planes in enumerate(pictures)]


def test_noise_is_no_change() -> None:
    assert looks([[picture(seed, noise=4)] for seed in range(8)]) == [1] * 8


def test_the_network_looks_again_after_a_while() -> None:
    assert LONGEST_S == 0.25
    still = [[picture()]] * 24
    assert looks(still) == [1] * 8 + [2] * 8 + [3] * 8
    assert looks(still[:4], rate=5) == [1, 1, 2, 2]
    assert looks(still[:4], rate=1) == [1, 2, 3, 4]


@pytest.mark.parametrize("place", [(0, 0), (60, 128), (120, 248)])
def test_a_small_thing_that_moves_is_a_change(place: tuple[int, int]) -> None:
    """A finger: 8x8 of the network's 256x128 pixels, a little lighter than what it covers."""
    y, x = place
    image = picture()
    other = image.copy()
    other[y : y + 8, x : x + 8] += 12
    assert looks([[image], [other], [other]]) == [1, 2, 2]


def test_a_change_of_colour_alone_is_one() -> None:
    y, u, v = (np.ascontiguousarray(plane) for plane in np.moveaxis(picture(), 2, 0))
    redder = v.copy()
    redder[40:64, 80:104] += 12
    assert looks([[y, u, v], [y, u, v], [y, u, redder]]) == [1, 1, 2]


def test_a_pattern_that_is_inverted_is_a_change() -> None:
    """Though the mean of each cell stays what it was."""
    stripes = np.where(np.arange(256) // 4 % 2, 180, 60).astype(np.uint8)
    image = np.repeat(np.tile(stripes, (128, 1))[..., None], 3, axis=2)
    assert looks([[image], [image], [240 - image], [240 - image]]) == [1, 1, 2, 2]


def test_slow_changes_add_up() -> None:
    """Light that rises by a level a frame: compared is what the network saw, not the last frame."""
    image = picture()
    rising = [[image + np.uint8(index)] for index in range(8)]
    assert looks(rising) == [1, 1, 1, 1, 2, 2, 2, 2]


def test_nothing_is_held_with_0_levels_nor_at_another_size_nor_back_in_time() -> None:
    image = picture()
    assert looks([[image]] * 3, levels=0) == [1, 2, 3]
    assert looks([[image], [image[:64]], [image[:64]]]) == [1, 2, 2]
    assert looks([[image]] * 3, rate=-30) == [1, 2, 3]


def test_after_a_restart_numbers_go_on() -> None:
    """So that the mask of an earlier look is never taken for that of a later one."""
    holding, image = Holding(), picture()
    assert holding([image], 0.0, LEVELS) == 1
    holding.restart()
    assert holding([image], 0.0, LEVELS) == 2


class Counted:
    """A real effect that counts how often its network runs."""

    def __init__(self, model: Path, **options: Any) -> None:
        self.looks = 0
        self.effect = VirtualBackground("#00ff00", model=model, keep_alpha=True, **options)
        self._infer = self.effect.engine.infer
        self.effect.engine.infer = self.infer  # type: ignore[method-assign]

    def infer(self, array: Any) -> Any:
        self.looks += 1
        return self._infer(array)

    def alphas(self, frames: list[Frame]) -> list[Image]:
        found = [self.effect.process(frame).alpha_hw for frame in frames]
        return [alpha for alpha in found if alpha is not None]


@pytest.fixture
def counted(brightness_model: Path) -> Iterator[Counted]:
    made = Counted(brightness_model)
    with made.effect:
        yield made


def test_a_still_picture_costs_few_looks_and_changes_nothing(
    counted: Counted, brightness_model: Path
) -> None:
    frames = [bgr_frame(picture(), index=index) for index in range(20)]
    held = counted.alphas(frames)
    assert counted.looks == 3
    always = Counted(brightness_model, matte=MatteSettings(hold=0))
    with always.effect:
        looked = always.alphas(frames)
    assert always.looks == 20
    for one, other in zip(held, looked, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_cut_is_seen_at_once(counted: Counted) -> None:
    counted.alphas([bgr_frame(picture(), index=index) for index in range(3)])
    before = counted.looks
    dark, light = np.zeros((128, 256, 3), np.uint8), np.full((128, 256, 3), 255, np.uint8)
    alphas = counted.alphas([bgr_frame(dark, index=3), bgr_frame(light, index=4)])
    assert counted.looks == before + 2
    assert alphas[0].max() == 0
    assert alphas[1].min() == 255


def test_stills_are_each_looked_at(counted: Counted) -> None:
    counted.alphas([bgr_frame(picture(), index=index, still=True) for index in range(5)])
    assert counted.looks == 5


def test_after_a_restart_the_network_looks(counted: Counted) -> None:
    frame = bgr_frame(picture())
    counted.alphas([frame, frame])
    counted.effect.restart()
    counted.alphas([frame])
    assert counted.looks == 2


PERSON = np.zeros((128, 256, 3), np.uint8)
PERSON[40:, 80:180] = 220
ROOM = np.zeros_like(PERSON)


class Failing:
    """A step that fails once, at its second call."""

    def __init__(self, call: Any) -> None:
        self._call, self.calls = call, 0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        if self.calls == 2:
            raise MemoryError("no room")
        return self._call(*arguments, **options)


@pytest.mark.parametrize("step", ["infer", "prepare", "colour"])
def test_a_mask_that_failed_is_not_replaced_by_an_earlier_one(
    step: str, brightness_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person, then a room whose mask failed, then that room again: nobody is there."""
    with VirtualBackground("#00ff00", model=brightness_model, keep_alpha=True) as effect:
        if step == "infer":
            effect.engine.infer = Failing(effect.engine.infer)  # type: ignore[method-assign]
        elif step == "prepare":
            monkeypatch.setattr(effect_module, "prepare", Failing(effect_module.prepare))
        else:
            failing = Failing(matte_module.decide_by_colour)
            monkeypatch.setattr(matte_module, "decide_by_colour", failing)
        first = effect.process(bgr_frame(PERSON, index=0)).alpha_hw
        assert first is not None and first.max() == 255
        with pytest.raises(MemoryError):
            effect.process(bgr_frame(ROOM, index=1))
        for index in range(2, 5):
            alpha = effect.process(bgr_frame(ROOM, index=index)).alpha_hw
            assert alpha is not None and alpha.max() == 0


def test_a_conversion_holds_what_it_would_one_by_one(counted: Counted) -> None:
    """In three threads, prepare runs ahead of the others."""
    pictures = [PERSON] * 4 + [ROOM] * 4 + [PERSON] * 4
    frames = [bgr_frame(image, index=index) for index, image in enumerate(pictures)]
    found: list[int] = []
    run(
        frames,
        counted.effect.stages,
        Stage("write", lambda frame: found.append(int(frame.alpha_hw.max()))),
    )
    assert found == [255] * 4 + [0] * 4 + [255] * 4
    assert counted.looks == 3
