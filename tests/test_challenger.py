"""Does another backbone judge where there is no reference, and is it named?"""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from twingym.envs import RulePolicy
from twingym.envs.behaviour import collect
from twingym.envs.dynamics import CHALLENGER, resolve
from twingym.evaluation import compare, evaluate, verdicts
from twingym.evaluation.fidelity.forecast import forecast_skill
from twingym.evaluation.judge import judged_by
from twingym.experiments.judging import Bench
from twingym.experiments.report import summarise
from twingym.scenarios import get
from twingym.scenarios.fidelity_plan import FidelityPlan
from twingym.twins import FitConfig, fit_twin, people
from twingym.twins.errors import SpecError, UnknownNameError, WeightsError
from twingym.twins.transformer_config import TransformerConfig

TINY = TransformerConfig(width=16, layers=1, attention_heads=2, head_width=8, ensemble=2, ensemble_width=8)
PLAN = FidelityPlan(
    variable="mood",
    history=1,
    horizons={"1 week": 1},
    coverage={"1 week": 1},
    schedule=lambda traits, inputs, u: np.zeros((len(u), inputs.shape[1] - 1, 1)),
    branch=lambda inputs, amounts: np.full(len(inputs), 4),
    doses={},
    effect_steps=4,
    policies={},
    metric="return",
    tolerance=1.0,
    policy_steps=12,
    drift="always",
    drift_tolerance=1.0,
    shift=lambda amounts, factor: amounts,
)


@pytest.fixture(scope="module")
def lone(tmp_path_factory):
    """Nudge without its reference, a folder with its twin model and a challenger fitted on other people."""
    known = get(Path(__file__).parent / "nudge_scenario.py")
    scenario, folder = replace(known, reference=None, fidelity=PLAN), tmp_path_factory.mktemp("twin")
    for place, network, part in (
        (folder, TINY, slice(None, 150)),
        (folder / CHALLENGER, replace(TINY, backbone="gru"), slice(150, None)),
    ):
        ids = np.concatenate([people("train", 300)[part], people("validation", 60)])
        config = FitConfig(epochs=2, batches=40, batch_tokens=300, ema=0.9)
        fit_twin(collect(known, ids, 0), scenario.twin_spec(), None, config, network).save(place)
    return scenario, folder


def test_a_challenger_judges_where_there_is_no_reference(lone):
    scenario, folder = lone
    name, world = judged_by(scenario, None, folder)
    assert name == "challenger"
    model = resolve(scenario, "transformer", folder)
    report = forecast_skill(world, PLAN, model, people("test", 40), people("train", 80), 1, 40)
    assert report["people"] > 20
    assert np.isfinite(report["crps"]["1 week"])
    policy = RulePolicy(world, "every_other")
    assert len(evaluate(policy, world, people("test", 10), dynamics="reference").episodes) == 10


def test_verdicts_and_comparisons_name_the_challenger(lone):
    scenario, folder = lone
    bench = Bench.of(scenario, 30, weights=folder)
    assert list(bench.places) == ["transformer", "challenger"]
    alone = evaluate(
        RulePolicy(scenario, "always"), scenario, people("test", 10), dynamics="challenger", weights=folder
    )
    assert set(verdicts(alone)["judge"]) == {"challenger"}
    judged = bench.judge({"always": RulePolicy(scenario, "always")})
    found = compare(judged)
    assert set(found.verdicts["judge"]) == set(found.verdicts["dynamics"]) == {"transformer", "challenger"}
    promised = found.tidy[found.tidy["what"] == "exploitation"]
    assert set(promised["judge"]) == {"challenger"}
    assert "transformer - challenger" in set(found.groups["dynamics"])
    assert "exploitation_gap" in found.table
    page = Console(width=200, record=True, file=StringIO())
    summarise(found, judged, page)
    text = page.export_text()
    assert "On the challenger" in text
    assert "return beyond the challenger" in text


def test_the_reference_judges_where_there_is_one():
    scenario = get("Glucose-v0")
    assert judged_by(scenario) == ("reference", scenario)


def test_a_judge_that_is_not_there_is_named(lone):
    scenario, folder = lone
    with pytest.raises(SpecError, match="against='challenger'"):
        judged_by(scenario, "reference")
    with pytest.raises(UnknownNameError, match="challenger"):
        judged_by(scenario, "challengr")
    with pytest.raises(WeightsError, match="challenger"):
        judged_by(get("Glucose-v0"), "challenger", folder / "none")
