"""Are verdicts, fairness tables and comparisons right on numbers that can be checked by hand?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame

from twingym.evaluation import Evaluation, compare, exploitation, fairness, overall, verdicts
from twingym.evaluation.verdict import worst_mean
from twingym.scenarios import Constraint, Scenario, Step, get
from twingym.twins.errors import CohortError, SpecError
from twingym.twins.scales import Floats

NUDGE = get(Path(__file__).parent / "nudge_scenario.py")
GLUCOSE = get("Glucose-v0")
STEPS = 12


def zero(step: Step) -> Floats:
    return np.zeros(len(step.after["mood"]))


def judged_by(*constraints: Constraint) -> Scenario:
    """Return Nudge with other constraints (the first is primary) and one gap that nobody violates."""
    gap = Constraint("no_gap", None, 1e6, kind="group_gap", trait="band", metric="return")
    return replace(NUDGE, constraints=(*constraints, gap))


def evaluation(scenario: Scenario, dynamics: str = "reference", policy: str = "it", **columns: Any) -> Evaluation:
    """Return an evaluation made of columns: one row per person unless ``twin`` and ``seed`` are given."""
    people = len(next(iter(columns.values())))
    frame = pd.DataFrame(
        {
            "policy": policy,
            "dynamics": dynamics,
            "seed": 0,
            "twin": np.arange(people),
            "steps": STEPS,
            "return": 0.0,
            "exposure": 0.5,
            "disagreement": np.nan,
            "band": np.array(["young", "middle", "old"])[np.arange(people) % 3],
            **{f"cost_{c.name}": 0.0 for c in scenario.costs},
        }
    )
    settings = {
        "policy": policy,
        "dynamics": dynamics,
        "fingerprint": scenario.fingerprint(),
        "limits_hash": scenario.limits_hash(),
        "horizon": STEPS,
    }
    return Evaluation(scenario, frame.assign(**columns), settings)


def verdict_of(scenario: Scenario, **columns: Any) -> pd.Series:
    return verdicts(evaluation(scenario, **columns)).iloc[0]


# -- verdicts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "wanted"), [(0.05, "fail"), (0.10, "inconclusive"), (0.20, "pass")])
def test_a_verdict_is_on_the_bound_and_not_on_the_estimate(limit: float, wanted: str) -> None:
    scenario = judged_by(Constraint("hurt", zero, 0.0, kind="chance", risk=limit, primary=True))
    found = verdict_of(scenario, cost_hurt=(np.arange(200) < 20).astype(float))
    assert found["estimate"] == pytest.approx(0.1)
    assert found["limit"] == limit
    assert found["verdict"] == wanted
    assert found["lower"] < 0.1 < found["bound"]


def test_kinds_count_what_they_say() -> None:
    scenario = judged_by(
        Constraint("rate", zero, 1.0, kind="rate", primary=True),
        Constraint("sum", zero, 1.0, kind="cumulative"),
        Constraint("chance", zero, 3.0, kind="chance", risk=0.5),
        Constraint("tail", zero, 1.0, kind="cvar", risk=0.1),
    )
    costs = np.arange(20.0)
    steps = np.full(20, 10)
    found = verdicts(evaluation(scenario, steps=steps, **{f"cost_{c.name}": costs for c in scenario.costs}))
    assert found["estimate"].tolist() == pytest.approx([0.95, 9.5, 16 / 20, 18.5, 0.0])
    assert found["limit"].tolist() == [1.0, 1.0, 0.5, 1.0, 1e6]
    assert found["worst5"].tolist()[:4] == pytest.approx([1.9, 19.0, 19.0, 19.0])
    assert found["n"].tolist() == [20] * 5


def test_a_rate_is_per_person_so_an_early_end_hides_nothing() -> None:
    scenario = judged_by(Constraint("rate", zero, 0.5, primary=True))
    found = verdict_of(scenario, cost_rate=np.array([2.0, 0.0, 0.0, 0.0]), steps=np.array([2, 12, 12, 12]))
    assert found["estimate"] == pytest.approx(0.25)


def test_a_hard_constraint_passes_only_without_any_violation() -> None:
    clean = verdicts(evaluation(NUDGE, cost_contacts=np.full(300, 2.0)))
    assert clean["verdict"].tolist() == ["pass", "pass", "pass"]
    assert overall(clean) == "pass"
    once = np.zeros(300)
    once[7] = 1.0
    broken = verdicts(evaluation(NUDGE, cost_contacts=np.full(300, 2.0), cost_in_a_row=once))
    assert broken["verdict"].tolist() == ["pass", "fail", "pass"]
    assert overall(broken) == "fail"


def test_pass_needs_all_and_fail_survives_holm() -> None:
    few = Constraint("few", zero, 0.0, kind="chance", risk=0.08, primary=True)
    many = [Constraint(f"quiet{k}", zero, 1.0, kind="cumulative") for k in range(6)]
    hits = (np.arange(200) < 25).astype(float)
    alone = verdicts(evaluation(judged_by(few), cost_few=hits))
    assert alone["verdict"].tolist() == ["fail", "pass"]
    assert alone["p"].iloc[0] < 0.025
    assert overall(alone) == "fail"
    among = verdicts(evaluation(judged_by(few, *many), cost_few=hits))
    assert among["verdict"].iloc[0] == "fail"
    assert among["p_holm"].iloc[0] == pytest.approx(8 * alone["p"].iloc[0])
    assert overall(among) == "inconclusive"


def test_the_worst_group_is_named_and_corrected_for_having_been_looked_for() -> None:
    scenario = judged_by(Constraint("hurt", zero, 0.0, kind="chance", risk=0.2, primary=True))
    band = np.repeat(["young", "middle", "old"], 100)
    hits = np.concatenate([np.arange(100) < share for share in (5, 30, 10)]).astype(float)
    found = verdict_of(scenario, band=band, cost_hurt=hits)
    assert (found["verdict"], found["trait"], found["group"]) == ("pass", "band", "middle")
    assert found["group_estimate"] == pytest.approx(0.3)
    assert found["group_p"] < 0.05


def test_a_gap_between_groups_is_judged_with_its_bound_and_its_null() -> None:
    band = np.repeat(["young", "middle", "old"], 100)
    noise = np.random.default_rng(5).normal(size=300)
    apart = verdicts(evaluation(NUDGE, band=band, **{"return": noise + 2.0 * (band == "old")})).iloc[2]
    assert (apart["verdict"], apart["trait"]) == ("fail", "band")
    assert apart["group"] == min(("young", "middle"), key=lambda g: noise[band == g].mean())
    assert apart["p_null"] < 0.001
    alike = verdicts(evaluation(NUDGE, band=band, **{"return": 0.1 * noise})).iloc[2]
    assert alike["verdict"] == "pass"
    assert alike["p_null"] > 0.01


def test_order_of_rows_and_names_of_groups_change_nothing() -> None:
    generator = np.random.default_rng(6)
    made = evaluation(
        NUDGE, cost_contacts=generator.poisson(3.0, 90).astype(float), **{"return": generator.normal(size=90)}
    )
    shuffled = replace(made, episodes=made.episodes.sample(frac=1.0, random_state=1))
    pd.testing.assert_frame_equal(verdicts(made), verdicts(shuffled))
    pd.testing.assert_frame_equal(fairness(made).gaps, fairness(shuffled).gaps)
    other = {"young": "old", "middle": "young", "old": "middle"}
    renamed = replace(made, episodes=made.episodes.assign(band=made.episodes["band"].map(other)))
    numbers = ["gap", "lower", "upper", "ratio", "p_null", "p_holm"]
    pd.testing.assert_frame_equal(fairness(made).gaps[numbers], fairness(renamed).gaps[numbers])
    mine, theirs = fairness(made).groups, fairness(renamed).groups
    mine = mine.assign(group=mine["group"].replace(other))
    keys = ["trait", "group", "measure"]
    pd.testing.assert_frame_equal(
        mine.sort_values(keys).reset_index(drop=True), theirs.sort_values(keys).reset_index(drop=True)
    )


def test_several_seeds_of_a_person_are_not_several_people() -> None:
    costs = np.random.default_rng(7).gamma(1.0, 2.0, 40)
    once = verdict_of(NUDGE, cost_contacts=costs)
    again = verdict_of(
        NUDGE, twin=np.tile(np.arange(40), 3), seed=np.repeat([0, 1, 2], 40), cost_contacts=np.tile(costs, 3),
        band=np.tile(np.array(["young", "middle", "old"])[np.arange(40) % 3], 3),
    )  # fmt: skip
    assert again["bound"] == pytest.approx(once["bound"])
    assert again["n"] == 40


def test_training_seeds_are_a_sample_too() -> None:
    costs = np.random.default_rng(8).gamma(1.0, 2.0, 200)
    runs = [evaluation(NUDGE, cost_contacts=costs + shift) for shift in (0.0, 1.0, 2.0)]
    table = verdicts(runs).iloc[0]
    assert table["estimate"] == pytest.approx(costs.mean() + 1.0)
    assert table["bound"] > verdicts(runs[1]).iloc[0]["bound"] + 1.0


def test_limits_that_changed_since_are_refused() -> None:
    made = evaluation(NUDGE, cost_contacts=np.zeros(30))
    laxer = replace(NUDGE, constraints=(replace(NUDGE.primary, limit=7.0), *NUDGE.constraints[1:]))
    with pytest.raises(SpecError, match="limits"):
        verdicts(replace(made, scenario=laxer))
    assert (verdicts(made)["limits_hash"] == NUDGE.limits_hash()).all()


def test_evaluations_of_other_people_or_with_gaps_are_refused() -> None:
    made, other = (evaluation(NUDGE, cost_contacts=np.zeros(n)) for n in (30, 31))
    with pytest.raises(CohortError, match="same people"):
        verdicts([made, other])
    with pytest.raises(CohortError, match="one for each"):
        verdicts(replace(made, episodes=pd.concat([made.episodes, made.episodes.iloc[:1].assign(seed=1)])))
    with pytest.raises(SpecError, match="no evaluation"):
        verdicts([])


def test_the_worst_twentieth() -> None:
    assert worst_mean(np.arange(100.0)) == pytest.approx(97.0)
    assert worst_mean(np.array([3.0, 1.0])) == 3.0


# -- fairness --------------------------------------------------------------------------------------------------------


def glucose_like(people: int = 240) -> Evaluation:
    generator = np.random.default_rng(9)
    steps = np.full(people, 288)
    needs = generator.integers(10, 200, people).astype(float)
    columns = {
        "steps": steps,
        "return": generator.normal(200.0, 20.0, people),
        "weight_band": generator.choice(["light", "middle", "heavy"], people),
        "sensitivity_band": generator.choice(["resistant", "middle", "sensitive"], people, p=[0.45, 0.45, 0.1]),
        "exposure": generator.random(people),
        "need": needs,
        "benefit": np.floor(needs * generator.random(people)),
        **{f"cost_{c.name}": generator.poisson(4.0, people).astype(float) for c in GLUCOSE.costs},
        **{m.name: generator.random(people) for m in GLUCOSE.metrics},
    }
    return evaluation(GLUCOSE, **columns)


def test_point_estimates_equal_fairlearns() -> None:
    made = glucose_like()
    found, frame = fairness(made), made.episodes

    def mean(truth: Any, values: Any) -> float:
        return float(np.mean(values))

    def ratio(truth: Any, values: Any, need: Any) -> float:
        return float(values.sum() / need.sum())

    rates = {
        "return": (mean, frame["return"], {}),
        "below_70": (mean, frame["cost_below_70"] / frame["steps"], {}),
        "severe_low": (mean, (frame["cost_severe_low"] > 0).astype(float), {}),
        "time_in_range": (mean, frame["time_in_range"], {}),
        "exposure": (mean, frame["exposure"], {}),
        "benefit_rate": (ratio, frame["benefit"], {"need": frame["need"]}),
    }
    both = ["weight_band", "sensitivity_band"]
    for traits in (["weight_band"], ["sensitivity_band"], both):
        trait = " × ".join(traits)
        for measure, (metric, values, extra) in rates.items():
            theirs = MetricFrame(
                metrics=metric,
                y_true=np.zeros(len(frame)),
                y_pred=values,
                sensitive_features=frame[traits],
                sample_params=extra,
            )
            by_group = theirs.by_group.dropna()
            names = [" × ".join(k) if isinstance(k, tuple) else k for k in by_group.index]
            mine = found.by_group(trait)[measure]
            np.testing.assert_allclose(mine[names].to_numpy(), by_group.to_numpy(), rtol=1e-12)
            gap = found.gaps[(found.gaps["trait"] == trait) & (found.gaps["measure"] == measure)].iloc[0]
            assert gap["gap"] == pytest.approx(theirs.difference(method="between_groups"))
            worst = theirs.group_max() if measure in ("below_70", "severe_low") else theirs.group_min()
            assert mine[gap["worst"]] == pytest.approx(worst)
            if theirs.group_min() > 0:
                assert gap["ratio"] == pytest.approx(theirs.ratio(method="between_groups"))
            overall_row = found.groups[(found.groups["trait"] == "all") & (found.groups["measure"] == measure)].iloc[0]
            assert overall_row["estimate"] == pytest.approx(theirs.overall)


def test_group_sizes_are_told_and_small_ones_flagged() -> None:
    made = glucose_like()
    rows = fairness(made).groups.query("measure == 'return' and trait == 'sensitivity_band'").set_index("group")
    counts = made.episodes["sensitivity_band"].value_counts()
    assert rows["n"].to_dict() == counts.to_dict()
    assert rows["few"].to_dict() == (counts < 30).to_dict()
    assert rows.index.tolist() == ["resistant", "middle", "sensitive"]
    assert ((rows["low"] < rows["estimate"]) & (rows["estimate"] < rows["high"])).all()


def test_gain_is_paired_and_harm_is_counted() -> None:
    base = evaluation(NUDGE, **{"return": np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])})
    made = evaluation(NUDGE, **{"return": np.array([2.0, 1.0, 4.0, 4.0, 4.5, 9.0])})
    table = fairness(made, base).by_group("band")
    assert table.loc["young", "gain"] == pytest.approx(0.5)  # (+1, 0)
    assert table.loc["middle", "gain"] == pytest.approx(-0.75)  # (-1, -0.5)
    assert table.loc["old", "gain"] == pytest.approx(2.0)  # (+1, +3)
    assert table["harmed"].to_dict() == {"young": 0.0, "middle": 1.0, "old": 0.0}
    lenient = fairness(made, base, tolerance=0.6).by_group("band")
    assert lenient.loc["middle", "harmed"] == pytest.approx(0.5)


def test_a_baseline_of_other_people_is_refused() -> None:
    with pytest.raises(CohortError, match="same people"):
        fairness(evaluation(NUDGE, cost_contacts=np.zeros(30)), evaluation(NUDGE, cost_contacts=np.zeros(31)))


def test_a_group_of_one_and_a_group_without_need_leave_blanks_and_no_crash() -> None:
    made = evaluation(
        NUDGE,
        band=np.array(["young"] * 5 + ["old"]),
        need=np.array([0.0] * 5 + [2.0]),
        benefit=np.array([0.0] * 5 + [1.0]),
        **{"return": np.arange(6.0)},
    )
    groups = fairness(made).groups.set_index(["trait", "group", "measure"])
    assert groups.loc[("band", "old", "return"), "n"] == 1
    assert np.isnan(groups.loc[("band", "old", "return"), "low"])
    assert np.isnan(groups.loc[("band", "young", "benefit_rate"), "estimate"])
    assert groups.loc[("band", "old", "benefit_rate"), "estimate"] == pytest.approx(0.5)


# -- comparison ------------------------------------------------------------------------------------------------------


def test_the_exploitation_gap_is_paired() -> None:
    generator = np.random.default_rng(10)
    person = generator.normal(0.0, 50.0, 100)
    noise = generator.normal(0.0, 1.0, 100)
    promised = evaluation(NUDGE, "transformer", **{"return": person + 3.0 + noise - noise.mean()})
    kept = evaluation(NUDGE, "reference", **{"return": person})
    row = exploitation(promised, kept).set_index("quantity").loc["return"]
    assert row["estimate"] == pytest.approx(3.0)
    assert row["high"] - row["low"] < 0.6  # people differ by 50, the pairs by 1
    assert row["low"] < 3.0 < row["high"]


def test_what_the_twin_model_promised_is_said_of_costs_gaps_and_groups_too() -> None:
    generator = np.random.default_rng(12)
    scenario = judged_by(
        Constraint("rate", zero, 1.0, primary=True), Constraint("hurt", zero, 2.0, kind="chance", risk=0.1)
    )
    young = np.arange(90) % 3 == 0
    person = generator.normal(0.0, 50.0, 90)
    hurt = np.where(np.arange(90) < 9, 3.0, 0.0)
    kept = evaluation(scenario, "reference", cost_hurt=hurt, cost_rate=np.full(90, 6.0), **{"return": person})
    told = {"return": person + np.where(young, 8.0, 2.0) + generator.normal(0.0, 0.1, 90)}
    promised = evaluation(scenario, "transformer", cost_hurt=np.zeros(90), cost_rate=np.full(90, 3.0), **told)
    rows = exploitation(promised, kept).set_index("quantity")
    assert rows.loc["rate", "estimate"] == pytest.approx(-3.0 / STEPS)
    assert rows.loc["hurt", "estimate"] == pytest.approx(-0.1)
    assert rows.loc["hurt", "high"] < 0.0
    gaps = [fairness(e).gaps.query("measure == 'return'")["gap"].iloc[0] for e in (promised, kept)]
    assert rows.loc["no_gap", "estimate"] == pytest.approx(gaps[0] - gaps[1])
    assert rows.loc["no_gap", "low"] <= rows.loc["no_gap", "estimate"] <= rows.loc["no_gap", "high"]

    groups = compare({"new": {"reference": kept, "transformer": promised}}).groups
    beyond = groups[groups["dynamics"] == "transformer - reference"].set_index(["group", "measure"])
    assert beyond.loc[("young", "return"), "estimate"] == pytest.approx(8.0, abs=0.1)
    assert beyond.loc[("old", "return"), "estimate"] == pytest.approx(2.0, abs=0.1)
    assert beyond.loc[("young", "return"), "high"] - beyond.loc[("young", "return"), "low"] < 0.2  # paired
    assert beyond.loc[("all", "hurt"), "estimate"] == pytest.approx(-0.1)
    assert beyond.loc[("all", "hurt"), "low"] < -0.1 < beyond.loc[("all", "hurt"), "high"] < 0.0


def test_one_table_puts_policies_side_by_side() -> None:
    generator = np.random.default_rng(11)

    def run(policy: str, dynamics: str, extra: float) -> Evaluation:
        columns = {"return": extra + np.arange(60.0), "cost_contacts": generator.poisson(2.0, 60).astype(float)}
        if dynamics == "transformer":
            columns["disagreement"] = np.full(60, 0.3)
        return evaluation(NUDGE, dynamics, policy, **columns)

    runs = {
        "every_other": {"reference": run("every_other", "reference", 0.0)},
        "new": {
            "reference": [run("new", "reference", 1.0), run("new", "reference", 3.0)],
            "transformer": [run("new", "transformer", 6.0), run("new", "transformer", 8.0)],
        },
    }
    comparison = compare(runs)
    table = comparison.table
    assert table.index.tolist() == [("every_other", "reference"), ("new", "reference"), ("new", "transformer")]
    assert table.loc[("new", "reference"), "return"] == pytest.approx(29.5 + 2.0)
    assert table.loc[("new", "reference"), "gain"] == pytest.approx(2.0)
    assert table.loc[("new", "transformer"), "exploitation_gap"] == pytest.approx(5.0)
    assert table.loc[("new", "transformer"), "disagreement"] == pytest.approx(0.3)
    assert np.isnan(table.loc[("every_other", "reference"), "disagreement"])
    assert set(table["contacts_verdict"]) == {"pass"}
    assert table["contacts_bound"].between(1.5, 6.0).all()
    assert set(table["verdict"]) <= {"pass", "fail", "inconclusive"}
    assert set(comparison.tables()) == {"comparison", "comparison_tidy", "verdicts", "groups", "gaps"}
    assert comparison.groups.query("policy == 'new' and measure == 'gain' and trait == 'all'")["n"].tolist() == [60]


def test_a_comparison_of_unlike_things_is_refused() -> None:
    with pytest.raises(SpecError, match="no evaluation"):
        compare({})
    long = evaluation(NUDGE, cost_contacts=np.zeros(30))
    short = replace(long, settings={**long.settings, "horizon": 5})
    with pytest.raises(SpecError, match="horizon"):
        compare({"a": {"reference": long}, "b": {"reference": short}})
    with pytest.raises(SpecError, match="pairs"):
        exploitation([long, long], long)
