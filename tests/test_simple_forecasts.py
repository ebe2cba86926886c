"""Are the forecasts that twin models are held against as good as statisticians make them?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.real_data import real_file

from twingym.evaluation.fidelity.bgnbd import BgNbd, Customers, draw_future, fit_bgnbd
from twingym.evaluation.fidelity.scores import crps
from twingym.evaluation.fidelity.simple_forecasts import TIME, RandomEffects

PUBLISHED = BgNbd(0.243, 4.414, 0.793, 2.426)  # CDNOW, weeks: Fader, Hardie and Lee 2005, table 2


def cdnow() -> tuple[Customers, np.ndarray]:
    """Customers as known on 30 September 1997, and their purchases in the 39 weeks after."""
    names = ["master", "customer", "date", "cds", "dollars"]
    frame = pd.read_csv(real_file("cdnow_sample.txt"), sep=r"\s+", header=None, names=names, dtype={"date": str})
    frame["date"] = pd.to_datetime(frame["date"], format="%Y%m%d")
    frame = frame.drop_duplicates(["customer", "date"])  # a day is one purchase
    cut, first = pd.Timestamp("1997-09-30"), frame.groupby("customer")["date"].min()
    known = frame[frame["date"] <= cut].groupby("customer")["date"]
    weeks = [(known.max() - first).dt.days / 7.0, (cut - first).dt.days / 7.0]
    later = frame[frame["date"] > cut].groupby("customer").size().reindex(first.index, fill_value=0)
    return Customers(known.size().to_numpy() - 1.0, *(w.to_numpy() for w in weeks)), later.to_numpy()


def test_bgnbd_is_the_published_fit():
    known, later = cdnow()
    found = fit_bgnbd(known)
    np.testing.assert_allclose(
        [found.r, found.alpha, found.a, found.b],
        [PUBLISHED.r, PUBLISHED.alpha, PUBLISHED.a, PUBLISHED.b],
        atol=6e-4,
    )
    assert found.log_likelihood(known) == pytest.approx(-9582.4, abs=0.05)  # table 2 of the source
    expected = found.expected(known, 39.0)
    assert np.corrcoef(expected, later)[0, 1] == pytest.approx(0.626, abs=2e-3)  # table 4: .626


def test_futures_of_bgnbd_have_the_expectation_in_closed_form():
    random = np.random.default_rng(0)
    frequency = random.integers(0, 6, 200).astype(float)
    age = np.full(200, 30.0)
    known = Customers(frequency, np.where(frequency > 0, random.uniform(5.0, 30.0, 200), 0.0), age)
    drawn = draw_future(PUBLISHED, known, np.array([13, 39]), np.arange(200), seed=3)
    for column, ahead in enumerate((13.0, 39.0)):
        expected = PUBLISHED.expected(known, ahead)
        assert drawn[..., column].mean() == pytest.approx(expected.mean(), rel=0.03)
        assert np.corrcoef(drawn[..., column].mean(axis=0), expected)[0, 1] > 0.98
    assert (np.diff(drawn, axis=2) >= 0).all()


def test_customers_are_read_from_counts():
    counts = np.array([[1.0, 0, 2, 0, 1], [1, 0, 0, 0, 0], [1, 1, np.nan, np.nan, np.nan]])
    found = Customers.of(counts, np.array([3, 4, 1]))
    np.testing.assert_array_equal(found.frequency, [2, 0, 1])
    np.testing.assert_array_equal(found.recency, [2, 0, 1])
    np.testing.assert_array_equal(found.age, [3, 4, 1])


def test_random_effects_find_what_made_the_data_and_forecast_as_well_as_knowing_it():
    random = np.random.default_rng(1)
    people, steps = 600, 21
    covariance = np.array([[0.09, 0.02], [0.02, 0.04]])
    own = random.multivariate_normal([0.0, 0.0], covariance, people)
    group = random.integers(0, 2, people).astype(float)
    time = np.arange(steps) * TIME
    whole = 0.1 + 0.3 * group[:, None] + (0.2 + own[:, 1:]) * time + own[:, :1] + random.normal(0, 0.1, (people, steps))
    known = np.where((random.random(whole.shape) < 0.4) & (np.arange(steps) <= 10), whole, np.nan)
    learned = np.where(random.random(whole.shape) < 0.5, whole, np.nan)
    traits = np.stack([np.ones(people), group], axis=1)
    half = people // 2
    found = RandomEffects.fit(learned[:half], traits[:half])
    np.testing.assert_allclose(found.fixed, [0.1, 0.3, 0.2], atol=0.06)
    np.testing.assert_allclose(found.between, covariance, atol=0.02)
    assert found.noise == pytest.approx(0.01, rel=0.1)
    ahead = np.full((half, 1), 20)
    truth = whole[half:, 20]
    scores = []
    for model in (found, RandomEffects(np.array([0.1, 0.3, 0.2]), covariance, 0.01)):
        mean, sd = model.forecast(known[half:], traits[half:], ahead)
        scores.append(crps(mean[:, 0] + sd[:, 0] * random.normal(0, 1, (400, half)), truth).mean())
        assert (np.abs(truth - mean[:, 0]) < 1.645 * sd[:, 0]).mean() == pytest.approx(0.9, abs=0.05)
    assert scores[0] < 1.05 * scores[1]
