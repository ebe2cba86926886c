"""Do inverse propensity weights undo that treatment goes to those who need it, where a model cannot tell who does?"""

from dataclasses import replace

import numpy as np
import pytest
from tests.test_backbones import SMALL

from twingym.twins import Courses, FitConfig, dataset, fit_twin, people
from twingym.twins.cohort import Cohort
from twingym.twins.errors import SpecError
from twingym.twins.propensity import propensity_weights
from twingym.twins.spec import TwinSpec
from twingym.twins.variables import Variable

STEPS, EFFECT, DELAY = 24, 0.5, 2
SPEC = TwinSpec(
    traits=(),
    variables=(Variable("sign", low=-5.0, high=5.0, change=1.0), Variable("pain", low=-8.0, high=8.0, change=1.0)),
    inputs=(),
    interventions=(Variable("drug", kind="categorical", levels=("no", "yes")),),
    own_bounds={},
    window=12,
    fingerprint="late",
)


def recorded(ids, fair=False):
    """A sign foretells pain two steps later, and whoever showed it gets the drug then; the drug adds ``EFFECT``."""
    random, n = np.random.default_rng(len(ids)), len(ids)
    sign = random.normal(size=(n, STEPS + 1)).clip(-4.0, 4.0)
    earlier = np.concatenate([np.zeros((n, DELAY)), sign], axis=1)[:, :STEPS]  # of step t: the sign at t - DELAY
    chance = np.full((n, STEPS), 0.5) if fair else np.clip(1.0 / (1.0 + np.exp(-2.0 * earlier)), 0.1, 0.9)
    drug = random.random((n, STEPS)) < chance
    pain = EFFECT * drug + earlier + 0.3 * random.normal(size=(n, STEPS))
    observed = np.stack([sign, np.concatenate([np.zeros((n, 1)), pain], axis=1)], axis=-1)
    propensity = np.log(np.where(drug, chance, 1.0 - chance))
    none = np.zeros((n, STEPS + 1, 0))
    return Courses(ids, {}, observed, drug[..., None].astype(float), none, propensity, np.full(n, STEPS))


def effect(model, at=10):
    """How much the drug adds to pain on average, in the model, from recorded pasts."""
    courses = recorded(people("test", 300))
    n, none, dynamics = len(courses), np.zeros((len(courses), 0)), model.dynamics()
    u = np.random.default_rng(3).random((n, dynamics.noise_width))
    state, _ = dynamics.initial(Cohort(courses.ids, {}), none, u)
    state = dynamics.observe(state, courses.observed[:, 0])
    for t in range(at):
        state, _ = dynamics.step(state, courses.delivered[:, t], none, u)
        state = dynamics.observe(state, courses.observed[:, t + 1])
    means = []
    for level in (1.0, 0.0):
        branch = dynamics.take(state, np.arange(n))
        draws = [
            dynamics.step(dynamics.take(branch, np.arange(n)), np.full((n, 1), level), none, np.roll(u, k, axis=0))[1]
            for k in range(8)
        ]
        means.append(np.mean([d[:, 1] for d in draws]))
    return means[0] - means[1]


def test_weighed_steps_look_as_if_treatment_had_been_given_at_random():
    courses = recorded(people("train", 2000))
    weight, drug = propensity_weights(courses, 1), courses.delivered[..., 0] > 0
    earlier = courses.observed[:, : STEPS - DELAY, 0]
    given, counts = drug[:, DELAY:], weight[:, 1 + DELAY :]

    def gap(w):
        return np.average(earlier[given], weights=w[given]) - np.average(earlier[~given], weights=w[~given])

    assert gap(np.ones_like(counts)) > 0.8
    assert abs(gap(counts)) < 0.12  # weights are clipped
    assert weight[:, 0] == pytest.approx(1.0)
    assert weight[:, 1:].mean() == pytest.approx(1.0)
    assert np.average(drug, weights=weight[:, 1:]) == pytest.approx(drug.mean(), abs=0.02)


def test_treatment_at_random_has_equal_weights_and_steps_multiply():
    courses = recorded(people("train", 500), fair=True)
    np.testing.assert_allclose(propensity_weights(courses, 1), 1.0, atol=0.02)
    confounded = recorded(people("train", 500))
    one, three = propensity_weights(confounded, 1), propensity_weights(confounded, 3)
    assert three.std() > one.std()
    product = one[:, 8] * one[:, 9] * one[:, 10]
    middle = (three[:, 10] > np.percentile(three, 5)) & (three[:, 10] < np.percentile(three, 95))
    ratio = (three[:, 10] / product)[middle]
    assert np.median(np.abs(ratio / np.median(ratio) - 1.0)) < 0.05


def test_amounts_are_grouped_with_like_ones():
    """A dose of exp(need): weights by its density leave nothing of the need in small and large doses."""
    random, n = np.random.default_rng(0), 4000
    need = random.normal(size=(n, 1))
    dose = 0.7 * need + random.normal(size=(n, 1))
    density = -0.5 * (dose - 0.7 * need) ** 2 - 0.5 * np.log(2.0 * np.pi)
    none = np.zeros((n, 2, 0))
    courses = Courses(np.arange(n), {}, np.zeros((n, 2, 1)), dose[..., None], none, density, np.ones(n, np.int64))
    weight = propensity_weights(courses, 1)[:, 1]
    plain = np.corrcoef(dose[:, 0], need[:, 0])[0, 1]
    covariance = np.cov(dose[:, 0], need[:, 0], aweights=weight)
    assert plain > 0.5
    assert covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]) < 0.5 * plain


def test_unknown_propensities_are_refused_and_those_after_the_end_do_not_matter():
    courses = recorded(people("train", 20))
    propensity = courses.propensity.copy()
    propensity[3, 12:] = np.nan
    over = replace(courses, propensity=propensity, length=np.where(np.arange(20) == 3, 12, STEPS))
    assert np.isfinite(propensity_weights(over, 2)).all()
    missing = replace(courses, propensity=propensity)
    with pytest.raises(SpecError, match=rf"12 of 480 steps have no propensity.* person {courses.ids[3]} at step 12"):
        dataset(missing, SPEC, weighting=1)
    assert (dataset(missing, SPEC).weight == 1.0).all()
    with pytest.raises(SpecError, match="propensity_weighting is -1"):
        dataset(courses, SPEC, weighting=-1)


@pytest.mark.slow
def test_weights_mend_a_model_without_memory_and_do_not_hurt_one_with():
    source = recorded(np.concatenate([people("train", 800), people("validation", 150)]))
    config = FitConfig(epochs=14, batches=40, batch_tokens=3000)
    off = {}
    for backbone in ("mlp", "transformer"):
        for steps in (0, 1):
            fitted = fit_twin(
                source, SPEC, None, replace(config, propensity_weighting=steps), replace(SMALL, backbone=backbone)
            )
            off[backbone, steps] = abs(effect(fitted) - EFFECT)
    assert off["mlp", 0] > 0.5  # what the sign foretells is taken for an effect of the drug
    assert off["mlp", 1] < 0.4 * off["mlp", 0]
    assert off["transformer", 0] < 0.2
    assert off["transformer", 1] < off["transformer", 0] + 0.1
