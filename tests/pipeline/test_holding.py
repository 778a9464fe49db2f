"""The network rests while the picture stands still, and looks again as soon as it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frames import bgr_frame

from seg_stream.pipeline.effect import VirtualBackground
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.holding import LONGEST, Holding
from seg_stream.pipeline.matte import MatteSettings
from seg_stream.pipeline.types import Image

LEVELS = MatteSettings.hold


def picture(seed: int = 0, noise: float = 0) -> Image:
    """128x256 of large and small things, and a camera's noise."""
    rng = np.random.default_rng(7)
    image = np.kron(rng.integers(40, 200, (16, 32, 3)), np.ones((8, 8, 1)))
    image += rng.normal(0, 10, image.shape)
    image += np.random.default_rng(seed).normal(0, noise, image.shape) if noise else 0
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def test_noise_is_no_change() -> None:
    holding = Holding()
    held = [holding([picture(seed, noise=4)], LEVELS) for seed in range(LONGEST + 1)]
    assert held == [False, *[True] * LONGEST]


def test_the_network_looks_again_after_a_while() -> None:
    holding, image = Holding(), picture()
    held = [holding([image], LEVELS) for _ in range(3 * (LONGEST + 1))]
    assert held == 3 * [False, *[True] * LONGEST]


@pytest.mark.parametrize("place", [(0, 0), (60, 128), (120, 248)])
def test_a_small_thing_that_moves_is_a_change(place: tuple[int, int]) -> None:
    """A finger: 8x8 of the network's 256x128 pixels, a little lighter than what it covers."""
    holding, image = Holding(), picture()
    assert not holding([image], LEVELS)
    y, x = place
    other = image.copy()
    other[y : y + 8, x : x + 8] += 12
    assert not holding([other], LEVELS)
    assert holding([other], LEVELS)


def test_a_change_of_colour_alone_is_one() -> None:
    holding = Holding()
    y, u, v = (np.ascontiguousarray(plane) for plane in np.moveaxis(picture(), 2, 0))
    assert not holding([y, u, v], LEVELS)
    assert holding([y, u, v], LEVELS)
    redder = v.copy()
    redder[40:64, 80:104] += 12
    assert not holding([y, u, redder], LEVELS)


def test_slow_changes_add_up() -> None:
    """Light that rises by a level a frame: compared is what the network saw, not the last frame."""
    holding, image = Holding(), picture()
    held = [holding([image + np.uint8(index)], LEVELS) for index in range(8)]
    assert held == 2 * [False, True, True, True]


def test_nothing_is_held_with_0_levels_nor_at_another_size_nor_after_a_restart() -> None:
    holding, image = Holding(), picture()
    assert not holding([image], 0)
    assert not holding([image], 0)
    assert not holding([image], LEVELS)
    assert not holding([image[:64]], LEVELS)
    assert holding([image[:64]], LEVELS)
    holding.restart()
    assert not holding([image[:64]], LEVELS)


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
