"""Does a fitted twin model draw every kind of variable as often, and as jointly, as it was recorded?"""

import numpy as np
import pytest
from scipy import stats
from tests.test_backbones import SMALL

from twingym.twins import Courses, FitConfig, TwinModel, fit_twin, people
from twingym.twins.cohort import Cohort
from twingym.twins.network import TwinNetwork
from twingym.twins.spec import TwinSpec
from twingym.twins.variables import Variable

STEPS = 30
NEXT = np.array([2, 0, 1])  # place 0 leads to 2, 2 to 1, 1 to 0: no order of theirs says so


def recorded(ids: np.ndarray) -> Courses:
    """Where people are, how full it is there, and two things that may happen, of which one rules out the other."""
    random, n = np.random.default_rng(len(ids)), len(ids)
    place = random.integers(3, size=n)
    series = []
    for _ in range(STEPS + 1):
        full = np.clip(random.beta(0.5 + place, 1.0, n) * 1.2 - 0.1, 0.0, 1.0)  # quite often all, or nothing
        first = random.random(n) < 0.2
        second = ~first & (random.random(n) < 0.25)
        series.append(np.stack([place, full, first, second], axis=-1).astype(float))
        place = np.where(random.random(n) < 0.8, NEXT[place], place)
    unknown, none = np.full((n, STEPS), np.nan), np.zeros((n, STEPS + 1, 0))
    return Courses(ids, {}, np.stack(series, axis=1), np.zeros((n, STEPS, 1)), none, unknown, np.full(n, STEPS))


def simulated(model, count=500):
    dynamics, random, none = model.dynamics(), np.random.default_rng(1), np.zeros((count, 0))
    state, seen = dynamics.initial(Cohort(np.arange(count), {}), none, random.random((count, dynamics.noise_width)))
    series = [seen]
    for _ in range(STEPS):
        state, seen = dynamics.step(state, np.zeros((count, 1)), none, random.random((count, dynamics.noise_width)))
        series.append(seen)
    return np.stack(series, axis=1)


def test_after_an_event_a_twin_stands_still():
    """Nothing was learned of what follows: courses end there."""
    spec = TwinSpec(
        traits=(),
        variables=(
            Variable("place", kind="categorical", levels=("a", "b", "c")),
            Variable("full"),
            Variable("over", kind="event"),
        ),
        inputs=(),
        interventions=(Variable("nothing"),),
        own_bounds={},
        window=8,
        fingerprint="events",
    )
    place, full, over = np.moveaxis(simulated(TwinModel(TwinNetwork.untrained(spec, SMALL), {})), -1, 0)
    assert 0.05 < over[:, 0].mean() < over[:, -1].mean()
    ended = over[:, :-1] == 1.0
    for series in (place, full, over):
        np.testing.assert_array_equal(series[:, 1:][ended], series[:, :-1][ended])
    assert (full[:, 1:][~ended] != full[:, :-1][~ended]).mean() > 0.9


@pytest.mark.slow
def test_places_shares_and_competing_events_are_simulated_as_recorded():
    source = recorded(np.concatenate([people("train", 300), people("validation", 60)]))
    spec = TwinSpec(
        traits=(),
        variables=(
            Variable("place", kind="categorical", levels=("a", "b", "c")),
            Variable("full", low=0.0, high=1.0).binned(source.observed[..., 1], bins=24),
            Variable("first", kind="binary"),
            Variable("second", kind="binary"),
        ),
        inputs=(),
        interventions=(Variable("nothing"),),
        own_bounds={},
        window=8,
        fingerprint="kinds",
    )
    model = fit_twin(source, spec, None, FitConfig(epochs=12, batches=40, batch_tokens=2400), SMALL)
    place, full, first, second = np.moveaxis(simulated(model), -1, 0)
    truth = np.moveaxis(recorded(people("test", 500)).observed, -1, 0)
    for start in range(3):
        went = (
            np.bincount(place[:, 1:][place[:, :-1] == start].astype(int), minlength=3) / (place[:, :-1] == start).sum()
        )
        assert went[NEXT[start]] == pytest.approx(0.8, abs=0.05)
        assert went[start] == pytest.approx(0.2, abs=0.05)
        there, recorded_there = full[place == start], truth[1][truth[0] == start]
        assert stats.ks_2samp(there, recorded_there).statistic < 0.06
        assert (there == 1.0).mean() == pytest.approx((recorded_there == 1.0).mean(), abs=0.05)
        assert (there == 0.0).mean() == pytest.approx((recorded_there == 0.0).mean(), abs=0.05)
    assert first.mean() == pytest.approx(0.2, abs=0.02)
    assert second.mean() == pytest.approx(0.2, abs=0.02)
    # Never both: a chance of zero is learned by and by. Drawn without regard to each other it would be .04.
    assert ((first == 1.0) & (second == 1.0)).mean() < 0.01
