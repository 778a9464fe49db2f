"""The shipped model: on the sample portrait always, on the portrait suite where the data are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seg_stream.engines.models import DEFAULT, FOLDER
from seg_stream.engines.select import open_engine
from seg_stream.pipeline.sample import read_portrait, view
from seg_stream.training.evaluation.scores import mask_iou
from seg_stream.training.evaluation.suite import portrait_suite, predict

DATA = Path(__file__).parents[2] / "shared" / "data"


def test_it_is_small_and_has_a_card() -> None:
    assert (FOLDER / f"{DEFAULT}.onnx").stat().st_size <= 10e6
    assert (FOLDER / f"{DEFAULT}.md").is_file()


def test_it_finds_the_astronaut_and_not_the_wall() -> None:
    frame_bgr = view(read_portrait(), 0.0)
    with open_engine("auto", DEFAULT) as engine:
        alpha = predict(engine, frame_bgr)
    face, suit, wall = alpha[110:150, 250:320], alpha[330:420, 150:300], alpha[60:160, 420:480]
    assert face.min() > 0.9
    assert suit.mean() > 0.9
    assert wall.max() < 0.1


AIM = 0.94
"""Mean IoU of each half of the suite."""


@pytest.mark.skipif(not (DATA / "ccp").is_dir(), reason="the test data (../shared/data) are absent")
def test_it_reaches_its_scores_on_the_portrait_suite() -> None:
    suite = portrait_suite(DATA)
    with open_engine("auto", DEFAULT) as engine:
        for half, cases in suite.items():
            scores = [mask_iou(predict(engine, case.frame_bgr), case.alpha_hw) for case in cases]
            assert np.mean(scores) >= AIM, half
