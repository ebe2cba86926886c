"""Does a model learn from what came back, on people it has not met, and is nothing replaced?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twingym.envs.behaviour import collect
from twingym.scenarios import get
from twingym.twins import FitConfig, TwinModel
from twingym.twins.errors import SpecError
from twingym.twins.fit import _Fit
from twingym.twins.network import TwinNetwork
from twingym.twins.refit import compared, refit
from twingym.twins.transformer_config import TransformerConfig

SMALL = TransformerConfig(width=16, layers=1, attention_heads=2, head_width=8, ensemble=2, ensemble_width=8)
NUDGE = str(Path(__file__).parent / "nudge_scenario.py")


@pytest.fixture(scope="module")
def scenario():
    return get(NUDGE)


@pytest.fixture(scope="module")
def courses(scenario):
    return collect(scenario, np.arange(100), 0)


def test_a_model_gets_better_on_people_it_has_not_met(scenario, courses):
    model = TwinModel(TwinNetwork.untrained(scenario.twin_spec(), SMALL).eval(), {})
    weights = {name: value.clone() for name, value in model.network.state_dict().items()}
    found = refit(model, courses, FitConfig(epochs=2, batches=12, batch_tokens=1024))
    assert found.better
    assert "Gain" in found.card()
    assert "better" in found.card()
    assert all((value == weights[name]).all() for name, value in found.before.network.state_dict().items())
    again = refit(found.after, courses, FitConfig(epochs=1, batches=1, batch_tokens=1024, learning_rate=1e-9))
    assert abs(again.gain[0]) < 0.05
    np.testing.assert_allclose(again.loss[0], found.loss[1], rtol=1e-5)


def test_a_refit_that_was_killed_goes_on_to_the_same_end(scenario, courses, tmp_path, monkeypatch):
    model = TwinModel(TwinNetwork.untrained(scenario.twin_spec(), SMALL).eval(), {})
    config = FitConfig(epochs=3, batches=4, batch_tokens=512)
    whole = refit(model, courses, config)
    run_epoch, made = _Fit.run_epoch, []

    def killed(self, advance):
        if made:
            raise KeyboardInterrupt
        made.append(1)
        run_epoch(self, advance)

    monkeypatch.setattr(_Fit, "run_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        refit(model, courses, config, folder=tmp_path)
    monkeypatch.undo()
    np.testing.assert_array_equal(refit(model, courses, config, folder=tmp_path).loss, whole.loss)


def test_what_follows_the_end_of_a_course_does_not_matter(scenario, courses):
    """Courses of a table are not known beyond their end."""
    model = TwinModel(TwinNetwork.untrained(scenario.twin_spec(), SMALL).eval(), {})
    length = np.where(np.arange(100) % 2, 5, 12)
    over = np.arange(13) > length[:, None]
    cut = replace(
        courses,
        observed=np.where(over[..., None], np.nan, courses.observed),
        delivered=np.where(over[:, 1:, None], np.nan, courses.delivered),
        inputs=np.where(over[..., None], np.nan, courses.inputs),
        length=np.minimum(length, courses.length),
    )
    found = refit(model, cut, FitConfig(epochs=1, batches=4, batch_tokens=512))
    assert np.isfinite(found.loss).all()
    assert np.isfinite(cut.filled().delivered).all()
    with np.errstate(all="raise"):
        zeros = replace(cut, delivered=np.nan_to_num(cut.delivered), inputs=np.nan_to_num(cut.inputs))
        np.testing.assert_array_equal(compared(model, found.after, zeros).loss, found.loss)


def test_without_held_out_people_nothing_is_learned(scenario, courses):
    model = TwinModel(TwinNetwork.untrained(scenario.twin_spec(), SMALL).eval(), {})
    with pytest.raises(SpecError, match=r"0 people of the train split, .* of the test split; needed: 1, 1, 2"):
        refit(model, courses, view=lambda ids: ids < 0)
