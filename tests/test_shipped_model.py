"""The shipped models: on the sample portrait always, on the portrait suite where the data are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seg_stream.engines.models import FOLDER
from seg_stream.engines.select import open_engine
from seg_stream.pipeline.sample import read_portrait, view
from seg_stream.training.evaluation.scores import alpha_error, boundary_f, mask_iou
from seg_stream.training.evaluation.suite import portrait_suite, predict

DATA = Path(__file__).parents[2] / "shared" / "data"


MODELS = {"portrait-lite": 10e6, "portrait": 20e6}
"""How many bytes each may have."""


@pytest.mark.parametrize("model", MODELS)
def test_it_is_small_and_has_a_card(model: str) -> None:
    assert (FOLDER / f"{model}.onnx").stat().st_size <= MODELS[model]
    assert (FOLDER / f"{model}.md").is_file()


@pytest.mark.parametrize("model", MODELS)
def test_it_finds_the_astronaut_and_not_the_wall(model: str) -> None:
    frame_bgr = view(read_portrait(), 0.0)
    with open_engine("auto", model) as engine:
        alpha = predict(engine, frame_bgr)
    face, suit, wall = alpha[110:150, 250:320], alpha[330:420, 150:300], alpha[60:160, 420:480]
    assert face.min() > 0.9
    assert suit.mean() > 0.9
    assert wall.max() < 0.1


AIM = 0.94
"""Mean IoU of each half of the suite."""


@pytest.mark.skipif(not (DATA / "ccp").is_dir(), reason="the test data (../shared/data) are absent")
def test_they_reach_their_scores_on_the_portrait_suite() -> None:
    """And `portrait` is better than `portrait-lite` in each of them."""
    suite = portrait_suite(DATA)
    found = {}
    for model in MODELS:
        with open_engine("auto", model) as engine:
            for half, cases in suite.items():
                alphas = [(predict(engine, case.frame_bgr), case.alpha_hw) for case in cases]
                scores = [
                    (mask_iou(*pair), boundary_f(*pair), -alpha_error(*pair)) for pair in alphas
                ]
                found[model, half] = np.mean(scores, axis=0)
                assert found[model, half][0] >= AIM, (model, half)
    for half in suite:
        assert (found["portrait", half] > found["portrait-lite", half]).all(), half
