"""Is the tumour benchmark the published one, and is its Bayes reference what nobody can beat?"""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from benchmarks import tumour_counterfactual as benchmark
from benchmarks.tumour import bayes, report, twin
from benchmarks.tumour.arrays import draw
from benchmarks.tumour.causal_transformer import CausalTransformer
from benchmarks.tumour.counterfactuals import KINDS
from benchmarks.tumour.recipes import ABLATIONS, MODELS, TWIN
from benchmarks.tumour.simulator import (
    CHEMO_DOSE,
    LARGEST,
    RADIO_DOSE,
    Patients,
    draw_patients,
    record,
    treated,
    volume,
)

from twingym.twins import TwinModel
from twingym.twins.network import TwinNetwork
from twingym.twins.transformer_config import TransformerConfig

SMALL = TransformerConfig(width=16, layers=1, attention_heads=2, head_width=8, ensemble=2, ensemble_width=8)


@pytest.fixture(scope="module")
def small():
    return draw(4.0, 10, original=True, train=30, tested=10)


def rmse(questions, forecast):
    return 100.0 * np.sqrt(((forecast - questions.answer) ** 2).mean(axis=0)) / LARGEST


def test_patients_and_answers_are_those_of_the_published_code(small):
    """Sums over what the authors' program, once corrected, simulates from the same seed: 30, 10, 10, 10 people."""
    assert np.nansum(small.train.size) == pytest.approx(12421.006620947555, rel=1e-12)
    assert small.train.chemo.sum() == 320.0
    assert small.train.radio.sum() == 340.0
    assert small.train.steps.sum() == 1731
    assert np.nansum(small.held_out.size) == pytest.approx(2960.4512287025254, rel=1e-12)
    wanted = {"one_step": (2360, 60791.266677949556), "sliding": (5900, 41439.200706699434)}
    wanted["random"] = (5356, 9425.203648173365)
    for kind, (count, total) in wanted.items():
        questions = small.questions[kind]
        assert len(questions) == count
        assert questions.answer[:, -1].sum() == pytest.approx(total, rel=1e-8), kind


def test_nobody_is_treated_on_the_first_day_of_training_but_of_testing(small):
    assert small.train.chemo[:, 0].sum() + small.train.radio[:, 0].sum() == 0.0
    many = draw(4.0, 10, original=True, train=10, tested=100).questions["one_step"].history
    assert many.radio[:, 0].mean() > 0.1


def test_the_cleaned_form_has_no_impossible_answers_and_one_policy():
    drawn = draw(4.0, 10, original=False, train=300, tested=60)
    for kind in KINDS:
        answers = drawn.questions[kind].answer
        assert (answers >= 0.0).all()
        assert (answers <= LARGEST).all()
    assert drawn.train.radio[:, 0].mean() > 0.1
    tested = drawn.questions["one_step"].history
    quirky = draw(4.0, 10, original=True, train=300, tested=60).questions["one_step"].history
    assert slope(drawn.train) == pytest.approx(1.0, abs=0.15)
    assert slope(tested) == pytest.approx(1.0, abs=0.3)
    assert slope(quirky) < 0.6


def slope(recorded):
    """How treatment follows the chance that the patient's own last days give: 1 if that is the policy."""
    chances, given = [], []
    for day in range(15, 50):
        there = recorded.steps > day
        chances.append(treated(recorded.size[there, day - 14 : day + 1], 4.0))
        given.append(recorded.chemo[there, day])
    return np.polyfit(np.concatenate(chances), np.concatenate(given), 1)[0]


def test_one_day_follows_the_equation_by_hand():
    one = Patients(volume(np.array([3.0])), np.array([0.04]), np.array([0.001]), np.array([0.03]), np.array([2.0]))
    grown = one.growth(one.first, np.array([CHEMO_DOSE]), np.array([RADIO_DOSE]), np.zeros(1))
    by_hand = 1.0 + 0.001 * 3.0 * np.log(30.0 / 3.0) - 0.03 * 5.0 - (0.04 * 2.0 + 0.004 * 4.0)
    assert grown[0] == pytest.approx(by_hand, rel=1e-12)


def test_the_posterior_narrows_down_on_the_true_parameters():
    random = np.random.RandomState(1)
    patients = draw_patients(200, random)
    history = record(patients, 0.0, random)
    known = bayes.posterior(history)
    last = np.minimum(history.steps - 1, 50)
    rows = np.flatnonzero(history.steps > 40)
    truth = np.stack([patients.alpha, patients.rho, patients.kill], axis=-1)[rows]
    mean, sd = known.mean[rows, last[rows]], np.sqrt(known.covariance[rows, last[rows]].diagonal(axis1=1, axis2=2))
    z = (mean - truth) / sd
    assert np.abs(z.mean(axis=0)).max() < 0.3
    assert z.std(axis=0) == pytest.approx(1.0, abs=0.15)
    assert (sd[:, 0] < 0.01).all()  # radiosensitivity, of which the population's sd is 0.17


def test_the_bayes_reference_matches_the_published_protocol_and_beats_persistence():
    questions = draw(4.0, 10, original=True, train=10, tested=200).questions["one_step"]
    assert len(questions) == pytest.approx(44_000, rel=0.1)
    last = questions.history.size[questions.patient, questions.day][:, None]
    assert rmse(questions, bayes.forecast(questions, 64))[0] < 0.5 * rmse(questions, last)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_twin_model_is_asked_what_the_history_and_the_plan_say(small, kind):
    """Samples of the rollout equal those of one course stepped alone, and answers never leak into them."""
    model = TwinModel(TwinNetwork.untrained(twin.SPEC, SMALL).eval(), {})
    questions = small.questions[kind]
    picked = questions.take(np.arange(0, len(questions), 97))
    found = twin.forecast(model, picked, 4)
    assert found.shape == (4, len(picked), picked.answer.shape[1])
    assert np.isfinite(found).all()
    few = picked.take(np.array([3, 8]))
    np.testing.assert_allclose(twin.forecast(model, few, 4), found[:, [3, 8]], rtol=1e-4)
    blind = few.history
    later = (
        np.arange(blind.size.shape[1])[None, :]
        > np.array([few.day[few.patient == p].max(initial=0) for p in range(10)])[:, None]
    )
    hidden = type(blind)(
        np.where(later, 1.0, blind.size), blind.chemo, blind.radio, blind.drug, blind.steps, blind.kind
    )
    np.testing.assert_array_equal(
        twin.forecast(model, type(few)(few.kind, hidden, few.patient, few.day, few.plan, few.answer), 4),
        twin.forecast(model, few, 4),
    )


def test_cells_are_computed_once_and_a_changed_recipe_is_another_cell(tmp_path, monkeypatch):
    args = benchmark.Args(quick=True, runs=tmp_path, paths=4, judged_paths=4)
    models = ["bayes", "persistence"]
    monkeypatch.setattr(
        benchmark, "cells", lambda _: [benchmark.Cell("original", 4.0, 10, model, 100, (4, 4)) for model in models]
    )
    monkeypatch.setattr(benchmark, "BASELINE_EPOCHS", 1)
    benchmark.main(args)
    models.append("causal_transformer")
    asked, compute = [], benchmark.compute
    monkeypatch.setattr(benchmark, "compute", lambda cell, *how: asked.append(cell.model) or compute(cell, *how))
    benchmark.main(args)
    assert asked == ["causal_transformer"]
    table = pd.read_csv(tmp_path / "quick.csv")
    assert list(table["model"].unique()) == models
    assert set(table["kind"]) == set(KINDS)
    assert table.groupby("model")["rmse"].mean()["bayes"] < table.groupby("model")["rmse"].mean()["persistence"]
    assert (table["rmse_later"] > 0.0).all()
    monkeypatch.setattr(benchmark, "BASELINE_EPOCHS", 2)
    assert benchmark.there(tmp_path / "quick.csv", benchmark.cells(args)) == {}
    digests = {benchmark.Cell("original", 4.0, 10, name, 100, (4, 4)).digest for name in MODELS}
    assert len(digests) == len(MODELS)
    for recipe in ABLATIONS.values():
        assert recipe != TWIN


def test_every_row_of_the_committed_table_belongs_to_a_cell_of_today():
    table = pd.read_csv(report.CELLS)
    found = benchmark.there(report.CELLS, benchmark.cells(benchmark.Args()))
    assert sum(map(len, found.values())) == len(table)


def test_a_cell_that_was_stopped_after_its_fit_is_not_fitted_again(tmp_path, monkeypatch):
    cell = benchmark.Cell("original", 4.0, 10, "twin", 100, (2, 2))
    left = TwinModel(TwinNetwork.untrained(twin.SPEC, SMALL).eval(), {"cpu_seconds": 7.0})
    (tmp_path / cell.name).mkdir()
    left.save(tmp_path / cell.name)
    monkeypatch.setattr(twin, "fit", lambda *_: pytest.fail("fitted again"))
    found = benchmark.compute(cell, tmp_path)
    assert set(found["kind"]) == set(KINDS)
    assert (found["fit_seconds"] == 7.0).all()


def test_the_whole_table_is_every_model_on_every_gamma_and_few_seeds_of_the_rest():
    wanted = pd.DataFrame(map(vars, benchmark.cells(benchmark.Args())))
    counted = wanted.groupby(["form", "gamma"], sort=False).size()
    assert counted.to_dict() == {
        ("original", 4.0): 5 * 6 + 2 * len(ABLATIONS),
        ("original", 2.0): 30,
        ("original", 0.0): 30,
        ("cleaned", 4.0): 12,
    }


@pytest.mark.slow
def test_short_fits_come_between_bayes_and_persistence():
    drawn = draw(4.0, 10, original=True, train=2000, tested=200)
    questions = drawn.questions["one_step"]
    best = rmse(questions, bayes.forecast(questions))[0]
    last = rmse(questions, questions.history.size[questions.patient, questions.day][:, None])[0]
    baseline = CausalTransformer(drawn.train, 4.0, epochs=40)
    assert best < rmse(questions, baseline.forecast(questions))[0] < last
    recipe = replace(TWIN, fit=replace(TWIN.fit, epochs=4))
    model = twin.fit(drawn.train, drawn.held_out, recipe, None)
    mean = twin.forecast(model, questions, 1, mean=True).mean(axis=0, dtype=np.float64)
    assert best < rmse(questions, mean)[0] < 0.7 * last


def cells_of(models, gamma=4.0, form="original", seeds=(10, 101)):
    rows = []
    for (model, error), seed in itertools.product(models.items(), seeds):
        for kind, taus in (("one_step", [1]), ("sliding", range(2, 7)), ("random", range(2, 7))):
            for tau in taus:
                known = {"form": form, "gamma": gamma, "seed": seed, "model": model, "kind": kind, "tau": tau}
                missed = error * (1.1 if seed > 10 else 0.9)
                scores = dict.fromkeys(("rmse", "rmse_possible", "rmse_later", "crps"), missed)
                fitted = {"fit_seconds": 100.0, "parameters": 1000.0} if model not in ("bayes", "persistence") else {}
                cover = {f"coverage_{c}": c / 100 for c in (50, 80, 90, 95)} if model == "twin" else {}
                rows.append({**known, **scores, **cover, **fitted})
    return pd.DataFrame(rows)


def test_the_page_says_what_was_reached_and_what_was_not():
    table = cells_of({"twin": 0.9, "bayes": 0.8, "causal_transformer": 1.5, "one head": 1.0})
    text = report.page(table)
    lines = {line.split(" | ")[0].strip("| "): line for line in text.splitlines() if line.startswith("|")}
    assert "| 0.900 | 1.10 | yes | 1.319 |" in lines["one step ahead, tau 1, gamma 4"]
    assert "| 0.900 | 0.80 | **no** | 0.947 |" in lines["random plans, tau 6, gamma 4"]
    assert "| 1.125 | 1.28 | yes |" in lines["ratio to Bayes, one step ahead, gamma 4"]
    assert "0.60 (0.60 to 0.60)" in text  # over the baseline, paired
    assert "| one head | 1.000 |" in text
    assert "0.500, 0.800, 0.900, 0.950" in text
    assert "1.319 ± 0.248" in text
    assert "nan" not in text


def test_a_model_that_was_run_on_fewer_seeds_says_so():
    table = pd.concat([cells_of({"twin": 0.9, "bayes": 0.8}), cells_of({"gru": 1.0}, seeds=(10,))])
    assert report.page(table).count("GRU backbone (1 of 2 seeds)") == 6
    assert "twin model (ours)** (" not in report.page(table)


def test_the_committed_page_is_made_of_the_committed_table():
    assert report.PAGE.read_text(encoding="utf-8") == report.page(pd.read_csv(report.CELLS))
