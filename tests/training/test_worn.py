from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_stream.pipeline.types import unit
from seg_stream.training import composites
from seg_stream.training.composites import Cast, compose
from seg_stream.training.framing import (
    Draw,
    Framing,
    cut_shows,
    draw_passer,
    draw_varied,
    draw_webcam,
    place,
    to_frame,
)
from seg_stream.training.pairs import Portrait, load_backgrounds, load_people
from seg_stream.training.worn import add_worn
from tests.training.data import write_data

SIZE = (160, 96)


@pytest.fixture(scope="module")
def cast(tmp_path_factory: pytest.TempPathFactory) -> Cast:
    data: Path = write_data(tmp_path_factory.mktemp("data"))
    people = {"headshots": load_people(data / "headshots", "train").portraits}
    return Cast(people, {"headshots": 1.0}, load_backgrounds(data / "backgrounds"))


@pytest.fixture(scope="module")
def person(cast: Cast) -> Portrait:
    return cast.people["headshots"][0]


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    draw=st.sampled_from([draw_webcam, draw_varied, draw_passer]),
)
def test_what_is_worn_only_adds_to_the_person(person: Portrait, seed: int, draw: Draw) -> None:
    rng = np.random.default_rng(seed)
    framing = draw(person, rng)
    picture, matte = place(person, framing, SIZE)
    before = unit(matte)
    colour, alpha = add_worn(picture.astype(np.float32), before, person, framing, rng)
    assert colour.dtype == alpha.dtype == np.float32
    assert colour.shape == picture.shape
    assert np.isfinite(colour).all()
    assert colour.min() >= 0
    assert colour.max() <= 255.01
    assert (alpha >= before - 1e-6).all()
    assert alpha.max() <= 1 + 1e-6
    added = alpha > before + 0.02
    if added.any():  # near the head or the chest, and nowhere else
        x, y = to_frame(person, framing, person.head_x, person.top)
        head = framing.height / framing.heads
        rows, columns = np.nonzero(added)
        far = np.hypot(columns / SIZE[0] * framing.aspect - x, rows / SIZE[1] - y)
        assert far.max() < 3.6 * head + 0.03


def test_hats_rise_above_the_head_turned_with_it_and_some_are_pale(person: Portrait) -> None:
    upright = Framing(aspect=5 / 3, heads=1.8, height=0.7, centre=0.5)
    rolled = Framing(aspect=5 / 3, heads=1.8, height=0.7, centre=0.5, degrees=25)
    hats, pale = 0, 0
    for seed in range(100):
        above = []
        for framing in (upright, rolled):
            picture, matte = place(person, framing, SIZE)
            rng = np.random.default_rng(seed)
            colour, alpha = add_worn(picture.astype(np.float32), unit(matte), person, framing, rng)
            added = (alpha > 0.5) & (matte < 10)
            top = to_frame(person, framing, person.head_x, person.top)
            rows, columns = np.nonzero(added)
            over = rows < top[1] * SIZE[1] - 1
            above.append((columns[over].mean() if over.any() else None, colour, added))
        if above[0][0] is None:
            continue
        hats += 1
        pale += bool(np.median(above[0][1][above[0][2]]) > 170)
        if above[1][0] is not None:
            # The head leans to one side of its column, and what sits on it leans with it.
            assert np.sign(above[1][0] - above[0][0]) == np.sign(_lean(person, rolled))
    assert hats > 50
    assert 0.15 < pale / hats < 0.7


def _lean(person: Portrait, framing: Framing) -> float:
    low, high = (
        to_frame(person, framing, person.head_x, person.top - up)[0] for up in (0, person.head)
    )
    return float(high - low)


def test_a_hat_out_of_the_frame_is_left_out(person: Portrait) -> None:
    below = Framing(aspect=5 / 3, heads=1.8, height=1.6, centre=0.5)
    picture, matte = place(person, below, SIZE)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        colour, alpha = add_worn(picture.astype(np.float32), unit(matte), person, below, rng)
        assert (colour == picture).all()
        assert (alpha == unit(matte)).all()


def test_a_second_person_is_often_cut_by_the_frames_side(person: Portrait) -> None:
    cut = 0
    for seed in range(60):
        framing = draw_passer(person, np.random.default_rng(seed))
        assert not cut_shows(person, framing)
        matte = place(person, framing, SIZE)[1]
        brow = to_frame(person, framing, person.head_x, person.top + 0.4 * person.head)[1]
        row = matte[min(max(int(brow * SIZE[1]), 0), SIZE[1] - 1)]
        cut += bool(max(row[0], row[-1]) > 127)  # through the head
    assert 6 < cut < 40


def test_a_wall_of_the_persons_colour_hides_nobody(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was also put behind the second of two people, in place of the first one."""
    put = composites._put
    behind = []

    def watched(*given: object, second: bool = False, **more: object) -> object:
        frame, alpha = put(*given, second=second, **more)
        if second:
            first = given[1]
            clear = alpha == 0
            behind.append(np.abs(frame[clear] - first[clear]).mean())
        return frame, alpha

    monkeypatch.setattr(composites, "ALIKE", 1.0)
    monkeypatch.setattr(composites, "SHADOWS", 0.0)
    monkeypatch.setattr(composites, "_put", watched)
    for seed in range(200):
        compose(cast, (64, 48), np.random.default_rng(seed))
    assert len(behind) > 5
    assert max(behind) < 1e-3


def test_a_wall_has_the_persons_colour_somewhere_on_the_outline(person: Portrait) -> None:
    """Whatever light lies on it: there, and often all around, no edge is left."""
    upright = Framing(aspect=5 / 3, heads=1.8, height=0.7, centre=0.5)
    picture, matte = place(person, upright, SIZE)
    inside, outside = matte > 229, matte == 0
    near = outside & (cv2.dilate(inside.astype(np.uint8), np.ones((13, 13))) > 0)
    own = picture[inside].mean(axis=0)  # the person of these tests has one colour
    for seed in range(40):
        rng = np.random.default_rng(seed)
        wall = composites._wall(SIZE, rng)
        alike = composites._alike(wall, picture.astype(np.float32), unit(matte), rng)
        apart = np.abs(alike[near] / own - 1).max(axis=1)
        assert apart.min() < 0.16
        shape = alike.mean(axis=2) / wall.mean(axis=2)
        assert np.ptp(shape) < 0.4 * shape.mean(), "its light stays"


def test_a_hat_is_as_wide_as_the_head_also_where_the_frame_cuts_it(person: Portrait) -> None:
    for centre in (0.5, 0.02):
        framing = Framing(aspect=5 / 3, heads=1.8, height=0.7, centre=centre)
        picture, matte = place(person, framing, SIZE)
        across = framing.height / framing.heads * SIZE[0] / framing.aspect
        reaches = []
        for seed in range(60):
            rng = np.random.default_rng(seed)
            alpha = add_worn(picture.astype(np.float32), unit(matte), person, framing, rng)[1]
            columns = np.flatnonzero(((alpha > 0.5) & (matte < 10)).any(axis=0))
            if len(columns):
                reaches.append((columns.max() + 1 - centre * SIZE[0]) / across)
        assert 0.42 < np.median(reaches) < 0.8, "half a head and the brim"
