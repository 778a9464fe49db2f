from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.types import unit
from seg_stream.training.arms import add_arms
from seg_stream.training.camera import match_light, throw_shadow
from seg_stream.training.clothes import dye_clothes
from seg_stream.training.composites import Cast, compose, room
from seg_stream.training.dataset import sample_batch
from seg_stream.training.evaluation.scores import gap_filled
from seg_stream.training.framing import (
    Draw,
    Framing,
    cut_shows,
    draw_photographed,
    draw_varied,
    draw_webcam,
    place,
    show_gap,
    to_frame,
)
from seg_stream.training.pairs import Portrait, load_backgrounds, load_people, person_of
from tests.training.data import draw_person, write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def cast(data: Path) -> Cast:
    return Cast(
        {name: load_people(data / name, "train").portraits for name in ("ccp", "headshots")},
        {"ccp": 1.0, "headshots": 1.0},
        load_backgrounds(data / "backgrounds"),
    )


def test_backgrounds_kept_for_tests_never_reach_training(data: Path) -> None:
    assert sorted(load_backgrounds(data / "backgrounds")) == ["hdri", "interior", "room", "shop"]
    assert sorted(load_backgrounds(data / "backgrounds", "test")) == ["hdri", "room"]
    rooms = load_backgrounds(data / "backgrounds")
    assert sum(len(kind) for kind in rooms.values()) == 4


def test_validation_has_rooms_of_its_own(data: Path, tmp_path: Path) -> None:
    (held_out,) = load_backgrounds(data / "backgrounds", "val")["room"]
    used = load_backgrounds(data / "backgrounds")["room"]
    assert not any(np.array_equal(held_out, room_bgr) for room_bgr in used)

    def copied(count: int) -> tuple[int, int]:
        for i in range(count):
            shutil.copy(data / "backgrounds" / "room_0.jpg", tmp_path / f"mine_{i:02}.jpg")
        return tuple(len(load_backgrounds(tmp_path, split)["mine"]) for split in ("train", "val"))

    assert copied(1) == (1, 1), "the only room is for both"
    assert copied(20) == (18, 2)


def test_foreground_of_a_portrait_loses_the_old_backdrop(cast: Cast) -> None:
    person = cast.people["headshots"][0]
    mixed = (person.alpha_hw > 40) & (person.alpha_hw < 215)
    sure = person.alpha_hw > 250
    true = person.image_bgr[sure].mean(0)
    before = np.abs(person.image_bgr[mixed] - true).mean()
    after = np.abs(person.foreground_bgr[mixed] - true).mean()
    assert after < 0.4 * before


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), portrait=st.booleans(), varied=st.booleans())
def test_only_the_frame_cuts_the_person(
    cast: Cast, seed: int, portrait: bool, varied: bool
) -> None:
    rng = np.random.default_rng(seed)
    person = cast.people["headshots" if portrait else "ccp"][0]
    framing = (draw_varied if varied else draw_webcam)(person, rng)
    assert not cut_shows(person, framing)
    _, matte = place(person, framing, (96, 96))
    if portrait and not varied:  # the person reaches the lower edge: no floating bust
        rows = np.flatnonzero((matte > 127).any(axis=1))
        assert rows[-1] >= 93


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_webcam_framing_fills_a_third_to_all_of_the_height(cast: Cast, seed: int) -> None:
    person = cast.people["ccp"][0]
    framing = draw_webcam(person, np.random.default_rng(seed))
    _, matte = place(person, framing, (round(180 * framing.aspect), 180))
    rows = np.flatnonzero((matte > 127).any(axis=1))
    assert 0.3 <= (180 - rows[0]) / 180 <= 1.0
    assert framing.aspect in (16 / 9, 4 / 3)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.tuples(st.integers(60, 400), st.integers(60, 400)),
    box=st.tuples(*[st.floats(0, 1)] * 4),
)
def test_people_where_they_were_photographed_are_seen_within_the_photograph(
    seed: int, size: tuple[int, int], box: tuple[float, ...]
) -> None:
    """Wherever in the photograph they stand, also where its edges cut them."""
    columns, rows = size
    width, height = 10 + int(box[0] * (columns - 10)), 20 + int(box[1] * (rows - 20))
    left, top = int(box[2] * (columns - width)), int(box[3] * (rows - height))
    alpha = np.zeros((rows, columns), np.uint8)
    alpha[top : top + height, left : left + width] = 255
    person = person_of("box", np.zeros((rows, columns, 3), np.uint8), alpha)
    framing = draw_photographed(person, np.random.default_rng(seed))
    corners = np.array([to_frame(person, framing, x, y) for x in (0, columns) for y in (0, rows)])
    assert (corners.min(axis=0) < 1e-6).all()
    assert (corners.max(axis=0) > [framing.aspect - 1e-6, 1 - 1e-6]).all()
    _, matte = place(person, framing, (96, 96), original=True)
    assert matte.max() > 127


def test_people_often_stay_where_they_were_photographed(cast: Cast) -> None:
    black = {"room": [np.zeros((48, 64, 3), np.uint8)]}

    def stay(folder: str) -> int:
        people = Cast({folder: cast.people[folder]}, {folder: 1.0}, black)
        seen = [compose(people, (64, 64), np.random.default_rng(i)) for i in range(100)]
        rooms = [np.median(rgb[alpha == 0], axis=0) for rgb, alpha in seen if (alpha == 0).any()]
        return sum(bool(blue > red + 30) for red, _, blue in rooms)

    assert stay("ccp") > 25, "the data's photographs have a blue wall"
    assert 4 < stay("headshots") < 25, "those that the picture cuts seldom do"


def test_a_frame_in_a_close_portrait_is_higher_than_the_head(cast: Cast) -> None:
    """A wide frame inside such a photograph would be lower."""
    for person in cast.people["headshots"]:
        for seed in range(20):
            framing = draw_photographed(person, np.random.default_rng(seed))
            assert framing.heads / framing.height > 1.1


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_samples_are_whole_and_repeatable(cast: Cast, seed: int) -> None:
    picture, alpha = compose(cast, (96, 64), np.random.default_rng(seed))
    again, alpha_again = compose(cast, (96, 64), np.random.default_rng(seed))
    assert picture.shape == (64, 96, 3)
    assert alpha.shape == (64, 96)
    assert picture.dtype == alpha.dtype == np.uint8
    assert (picture == again).all()
    assert (alpha == alpha_again).all()


def test_gaps_between_arm_and_body_are_often_shown(cast: Cast) -> None:
    assert cast.with_gaps is cast, "nobody has one"
    drawn = draw_person((110, 164), standing=True, rng=np.random.default_rng(1), arm=True)
    person = person_of("arm", *drawn)
    assert person.gap_xy.shape == (2, 1)
    crowd = cast.people["ccp"] * 20
    rare = Cast({"ccp": [*crowd, person]}, {"ccp": 1.0}, cast.rooms)
    assert rare.with_gaps.people == {"ccp": [person]}
    (gap,) = person.gap_xy.T
    for seed in range(20):
        framing = show_gap(draw_webcam, person, np.random.default_rng(seed))
        x, y = to_frame(person, framing, *gap)
        assert 0 < x < framing.aspect
        assert 0 < y < 1
    shown = sum(
        gap_filled(unit(alpha), alpha) is not None
        for _, alpha in (compose(rare, (160, 96), np.random.default_rng(i)) for i in range(100))
    )
    assert shown > 25, "by chance it would be a dozen, drawn arms among them"


def test_somebody_with_gaps_is_drawn_as_often_as_another(cast: Cast) -> None:
    with_gap, without = (
        person_of(str(arm), *draw_person((110, 164), True, np.random.default_rng(1), arm=arm))
        for arm in (True, False)
    )
    both = Cast(
        {"many": [with_gap] * 10, "few": [with_gap, *[without] * 19]},
        {"many": 1.0, "few": 1.0},
        cast.rooms,
    )
    assert both.with_gaps.weights == {"many": 1.0, "few": pytest.approx(0.05)}


def test_samples_differ_between_epochs_and_some_have_nobody(cast: Cast) -> None:
    first, _ = sample_batch(cast, (64, 64), seed=1, epoch=0, first=0, count=4)
    second, _ = sample_batch(cast, (64, 64), seed=1, epoch=1, first=0, count=4)
    assert (first != second).any()
    _, alpha = sample_batch(cast, (64, 64), seed=1, epoch=0, first=0, count=150)
    empty = (alpha.max(axis=(1, 2, 3)) == 0).mean()
    assert 0.005 < empty < 0.15
    assert 0.1 < alpha.mean() < 0.6


def test_rooms_fill_the_picture(cast: Cast) -> None:
    view = room(cast.rooms, (64, 48), np.random.default_rng(0))
    assert view.shape == (48, 64, 3)
    assert view.min() >= 0
    assert view.max() <= 255


def test_a_folder_without_backgrounds_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no \.jpg background"):
        load_backgrounds(tmp_path)


def test_light_is_matched_to_the_person_whatever_its_share_of_the_frame() -> None:
    foreground = np.zeros((64, 64, 3), np.float32)
    alpha = np.zeros((64, 64), np.float32)
    alpha[60:, 30:34] = 1
    foreground[60:, 30:34] = 100
    room_bgr = np.full((64, 64, 3), 100, np.float32)
    gains = [
        match_light(foreground, alpha, room_bgr, np.random.default_rng(i))[62, 32, 0] / 100
        for i in range(200)
    ]
    assert 0.95 < np.mean(gains) < 1.05


def test_a_narrow_close_portrait_has_a_frame(cast: Cast) -> None:
    """As wide as its photograph: that there is one place for it alone depends on rounding."""
    narrow = np.zeros((256, 145, 3), np.uint8)
    rng = np.random.default_rng(1)
    for _ in range(200):
        person = replace(
            cast.people["headshots"][0],
            image_bgr=narrow, top=24, head=127.6, head_x=rng.uniform(30, 110),
        )  # fmt: skip
        assert 0 <= draw_photographed(person, rng).centre <= 1


@pytest.mark.parametrize("size", [(1, 1000), (1000, 1), (2, 3)])
def test_rooms_may_be_of_any_size(tmp_path: Path, size: tuple[int, int]) -> None:
    cv2.imwrite(str(tmp_path / "thin_1.jpg"), np.full((size[1], size[0], 3), 90, np.uint8))
    rooms = load_backgrounds(tmp_path)
    for seed in range(30):
        assert room(rooms, (64, 48), np.random.default_rng(seed)).shape == (48, 64, 3)


@pytest.fixture(scope="module")
def suit() -> Portrait:
    """Somebody with dark hair, in a dark suit with a pale stripe, before a blue wall."""
    alpha = np.zeros((200, 140), np.uint8)
    cv2.circle(alpha, (70, 60), 40, 255, -1)
    cv2.rectangle(alpha, (6, 110), (134, 200), 255, -1)
    cv2.rectangle(alpha, (60, 95), (80, 112), 255, -1)
    photo = np.full((200, 140, 3), (170, 60, 20), np.uint8)
    photo[alpha > 0] = SUIT
    cv2.rectangle(photo, (90, 110), (100, 200), STRIPE, -1)
    cv2.circle(photo, (70, 60), 28, SKIN, -1)
    cv2.rectangle(photo, (40, 160), (60, 170), SKIN, -1)  # a hand
    return person_of("suit", photo, alpha)


SUIT, STRIPE, SKIN = (40, 40, 45), (200, 200, 200), (120, 150, 210)
UPRIGHT = Framing(aspect=1.0, heads=1.8, height=0.9, centre=0.5)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    draw=st.sampled_from([draw_photographed, draw_webcam, draw_varied, None]),
)
def test_clothes_are_dyed_and_neither_skin_nor_head(
    suit: Portrait, seed: int, draw: Draw | None
) -> None:
    rng = np.random.default_rng(seed)
    framing = draw(suit, rng) if draw else UPRIGHT
    colour, matte = place(suit, framing, (128, 96))
    dyed = dye_clothes(colour.astype(np.float32), unit(matte), suit, framing, rng)
    assert 0 <= dyed.min() <= dyed.max() <= 255
    changed = np.abs(dyed - colour).max(axis=2)
    chin = to_frame(suit, framing, suit.head_x, suit.top + 1.05 * suit.head)[1] * 96
    assert (changed[: max(0, int(chin) - 4)] == 0).all(), "above the chin"
    inner = np.ones((9, 9), np.uint8)
    skin = cv2.erode((colour[..., 2] > 190).astype(np.uint8), inner) > 0
    assert (changed[skin & (matte == 255) & (colour[..., 0] < 130)] < 1).all(), "hand and neck"
    if draw is None:
        assert (changed > 3).sum() > 0.2 * (matte > 127).sum()


def test_dyed_clothes_are_pale_half_of_the_time_and_folds_turn_as_often(suit: Portrait) -> None:
    colour, matte = place(suit, UPRIGHT, (128, 96))
    pale, turned, kept = 0, 0, 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        dyed = dye_clothes(colour.astype(np.float32), unit(matte), suit, UPRIGHT, rng)
        pale += bool(dyed[85, 30].min() > 200)
        turned += bool(dyed[85, 79].mean() < dyed[85, 30].mean())
        kept += bool(np.abs(dyed[85, 79] - dyed[85, 30]).max() > 30)
    assert kept > 60, "but for white on white"
    assert 35 < pale < 70
    assert 35 < turned < 65


def test_a_dyed_suit_before_a_wall_of_its_colour_has_no_rim(suit: Portrait) -> None:
    colour, matte = place(suit, UPRIGHT, (128, 96))
    alpha = unit(matte)[..., None]
    rng = np.random.default_rng(4)
    dyed = dye_clothes(colour.astype(np.float32), unit(matte), suit, UPRIGHT, rng)
    frame = dyed * alpha + dyed[85, 30] * (1 - alpha)
    across = frame[85, :40]
    assert (matte[85, :40] == 0).any()
    assert np.abs(across - dyed[85, 30]).max() < 12


def test_samples_of_dyed_people_are_seldom_black(cast: Cast, suit: Portrait) -> None:
    """Colours below 0 made what the light is matched by no number, and the sample black."""
    people = Cast({"suits": [suit]}, {"suits": 1.0}, cast.rooms)
    with np.errstate(invalid="raise"):
        seen = [compose(people, (64, 48), np.random.default_rng(i))[0] for i in range(200)]
    assert sum(bool(rgb.max() < 20) for rgb in seen) < 5


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_arms_only_add_to_the_person(cast: Cast, seed: int) -> None:
    rng = np.random.default_rng(seed)
    person = cast.people["ccp"][0]
    framing = draw_webcam(person, rng)
    picture, matte = place(person, framing, (96, 64))
    before = matte.astype(np.float32) / 255
    colour, alpha = add_arms(picture.astype(np.float32), before, person, framing, rng)
    assert colour.shape == picture.shape
    assert np.isfinite(colour).all()
    assert colour.min() >= 0
    assert (alpha >= before - 1e-5).all()
    assert alpha.max() <= 1 + 1e-5


def test_drawn_arms_stand_away_from_the_body_and_leave_gaps(cast: Cast) -> None:
    person = cast.people["ccp"][0]
    grown, gaps = 0, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        framing = draw_webcam(person, rng)
        picture, matte = place(person, framing, (192, 128))
        before = matte.astype(np.float32) / 255
        _, alpha = add_arms(picture.astype(np.float32), before, person, framing, rng)
        grown += (alpha > 0.5).sum() > 1.05 * (before > 0.5).sum()
        outside, _ = cv2.connectedComponents((alpha < 0.5).astype(np.uint8))
        gaps += outside > 2  # more than what is around the person
    assert grown > 40
    assert gaps > 5


def test_a_shadow_darkens_the_room_and_nothing_else() -> None:
    room_bgr = np.full((64, 96, 3), 200, np.float32)
    nobody = np.zeros((64, 96), np.float32)
    somebody = nobody.copy()
    somebody[20:, 40:60] = 1
    for seed in range(10):
        assert (throw_shadow(room_bgr, nobody, np.random.default_rng(seed)) == 200).all()
        shaded = throw_shadow(room_bgr, somebody, np.random.default_rng(seed))
        assert shaded.max() <= 200.01
        assert shaded.min() < 195
