"""Do the two-sample scores pass what is the same and reject what is not?"""

import numpy as np

from twingym.evaluation.fidelity.two_sample import LEVEL, autocorrelation, discriminative, mmd, predictive, two_sample
from twingym.scenarios import get
from twingym.twins import people


def walks(count, pull, key):
    """Autoregressive courses (N, 24, 1) of variance 1."""
    random = np.random.Generator(np.random.Philox(key=key))
    x = np.empty((count, 24, 1))
    x[:, 0] = random.normal(size=(count, 1))
    for t in range(1, 24):
        x[:, t] = pull * x[:, t - 1] + np.sqrt(1.0 - pull**2) * random.normal(size=(count, 1))
    return x


def test_the_permutation_test_keeps_its_level_and_sees_another_memory():
    p = [mmd(walks(60, 0.5, k), walks(60, 0.5, 1000 + k), k, 99)[1] for k in range(60)]
    assert np.mean(np.array(p) <= 0.1) < 0.22
    assert mmd(walks(200, 0.95, 1), walks(200, 0.2, 2), 0, 99)[1] <= LEVEL


def test_the_classifier_tells_another_memory_and_not_the_same_one():
    _, low, high = discriminative(walks(300, 0.9, 1), walks(300, 0.9, 2), 0)
    assert low < 0.0 < high
    shifted = walks(300, 0.9, 3) + 1.5
    _, low, _ = discriminative(shifted, walks(300, 0.9, 4), 0)
    assert low > 0.1


def test_autocorrelation_is_that_of_the_process():
    np.testing.assert_allclose(autocorrelation(walks(4000, 0.8, 5))[:4, 0], 0.8 ** np.arange(1, 5), atol=0.03)


def test_both_controls_hold_on_glucose():
    scenario = get("Glucose-v0")
    found = two_sample(scenario, scenario.reference(), people("test", 450), 1)
    assert found["positive"]["p"] > LEVEL
    assert found["twin"]["p"] > LEVEL  # the reference in the place of the twin model
    assert found["negative"]["p"] <= LEVEL
    assert found["negative"]["autocorrelation"] > 5.0 * found["positive"]["autocorrelation"]


def test_who_learns_from_windows_without_memory_forecasts_worse_on_real_ones():
    real = walks(120, 0.9, 5)
    mixed = real.copy()
    for t in range(24):
        mixed[:, t] = real[np.random.default_rng(t).permutation(120), t]
    good, bad = predictive(walks(120, 0.9, 6), real, 0), predictive(mixed, real, 0)
    assert good[1] <= good[0] <= good[2] < bad[1]
    # The best that can be known of a step of this walk is off by its own noise: 0.44 standard deviations, times .8.
    assert 0.33 < good[0] < 0.5
    assert predictive(walks(120, 0.9, 6), real, 0) == good
