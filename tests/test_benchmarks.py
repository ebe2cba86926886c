"""Do the committed results of the benchmarks still say what the docs and defaults take from them?"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks import read_past
from benchmarks.belief import TRIALS, markdown
from benchmarks.doubt_training import HOW, cell, differences, winner

from twingym.agents.algorithms import algorithm
from twingym.agents.hyperparameters import hyperparameters
from twingym.scenarios import get
from twingym.scenarios.scenario import Scenario

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"


@pytest.mark.parametrize("path", sorted(RESULTS.parent.rglob("*.py")), ids=lambda path: path.stem)
def test_every_benchmark_finds_what_it_is_made_of(path: Path) -> None:
    import_module(".".join(path.relative_to(RESULTS.parent.parent).with_suffix("").parts).removesuffix(".__init__"))


def on_the_reference(scenario: Scenario) -> pd.DataFrame:
    table = pd.read_csv(RESULTS / f"policies_{scenario.id}.csv").set_index("policy")
    return table[table["dynamics"] == "reference"]


def ppo(table: pd.DataFrame) -> pd.DataFrame:
    found = table[table.index.str.startswith("ppo on twins")]
    assert len(found) >= 3
    return found


@pytest.mark.parametrize("name", ["Glucose-v0", "Retention-v0"])
def test_every_rule_is_among_the_results(name: str) -> None:
    scenario = get(name)
    rules = scenario.rules.items()
    wanted = {*scenario.rules, *(f"{name} (tuned)" for name, rule in rules if rule.grid and not rule.per_person)}
    assert wanted <= set(on_the_reference(scenario).index)


def test_on_glucose_ppo_beats_boluses_tuned_for_everybody_and_for_each() -> None:
    table = on_the_reference(get("Glucose-v0"))
    assert (table["people"] == 500).all()
    assert table.loc["basal_bolus (tuned)", "below_70"] <= 0.04
    agents, in_range = ppo(table), table["time_in_range"]
    assert agents["below_70"].max() <= 0.04
    assert agents["time_in_range"].mean() >= in_range["basal_bolus (tuned)"] + 0.10
    assert agents["time_in_range"].mean() >= in_range["basal_bolus_tuned"] + 0.03


def test_on_retention_ppo_comes_half_way_from_the_best_rule_to_the_oracle() -> None:
    table = on_the_reference(get("Retention-v0"))
    rules = table["gain"][~table.index.str.contains("ppo|oracle")]
    oracle = table["gain"][table.index.str.startswith("oracle")]
    assert len(oracle) >= 3
    assert ppo(table)["gain"].mean() >= (rules.max() + oracle.max()) / 2


def test_the_model_is_in_doubt_where_five_independent_networks_disagree() -> None:
    table = pd.read_csv(RESULTS / "disagreement_Glucose-v0.csv").set_index("visited by")
    assert table.loc["all", "spearman"] >= 0.6
    assert table.loc["all", "low"] > 0.5
    # Over single steps not even the networks agree with each other.
    assert table.loc["all", "ceiling, one step"] < table.loc["all", "spearman, one step"]
    assert (table["low"].drop("all") > 0.0).all()
    assert {"ppo_twin", "at random", *get("Glucose-v0").rules} - {"basal_bolus_tuned"} <= set(table.index)


def cells(gains: dict[str, float], broken: dict[str, int] | None = None) -> pd.DataFrame:
    """Made-up cells: returns of each reaction above none, the same in all seeds but for a little."""
    return pd.DataFrame(
        {
            "env": "Toy-v0",
            "doubt": how,
            "seed": seed,
            "return": 10.0 * seed + gains.get(how, 0.0) * (1.0 + 0.1 * seed),
            "limits_broken": (broken or {}).get(how, 0),
        }
        for how in HOW
        for seed in range(5)
    )


def test_what_won_is_above_none_beyond_doubt_and_breaks_no_more_limits() -> None:
    found = differences(cells({"penalise": 1.0}), "Toy-v0", "return")
    assert found.loc["penalise", "difference"] == pytest.approx(1.2)
    half = 2.776 * 0.1 * 2.5**0.5 / 5**0.5  # t with 4 degrees of freedom
    assert found.loc["penalise", "high"] == pytest.approx(1.2 + half, abs=1e-3)
    assert winner(cells({"penalise": 1.0, "rebind": 2.0}), "Toy-v0") == "rebind"
    assert winner(cells({"penalise": 1.0, "rebind": 2.0}, {"rebind": 1}), "Toy-v0") == "none"
    assert winner(cells({"truncate": -1.0}), "Toy-v0") == "none"
    blurred = cells({"truncate": 1.0})
    blurred.loc[(blurred["doubt"] == "truncate") & (blurred["seed"] == 0), "return"] += 9.0
    assert winner(blurred, "Toy-v0") == "none"


@pytest.mark.parametrize("name", ["Glucose-v0", "Retention-v0"])
def test_training_reacts_to_doubt_as_won(name: str) -> None:
    path = RESULTS / "doubt_training.csv"
    if not path.is_file():
        pytest.skip("python -m benchmarks.doubt_training has not been run yet")
    table, default = pd.read_csv(path), hyperparameters(algorithm("ppo"), get(name).env_id).doubt
    if name not in set(table["env"]):
        pytest.skip(f"python -m benchmarks.doubt_training --envs {name} has not been run yet")
    assert (table[table["env"] == name].groupby("doubt")["seed"].nunique() >= 5).all()
    assert default == winner(table, name)


@pytest.mark.slow
def test_a_cell_trains_with_a_reaction_and_judges_without() -> None:
    row = cell(get("Glucose-v0"), "penalise", 0, 20_000, 0.05)
    assert np.isfinite(list(row.values())).all()
    assert row["disagreement"] > 0.0


@pytest.mark.parametrize(("name", "most"), [("Glucose-v0", 0.5), ("Sepsis-v0", 0.6)])
def test_a_belief_gives_back_what_the_last_reading_loses(name: str, most: float) -> None:
    table = pd.read_csv(RESULTS / f"belief_{name}.csv")
    page = (RESULTS.parent.parent / "docs" / "one_person.md").read_text(encoding="utf-8")
    assert markdown(table, TRIALS[name]) in page
    for policy, rows in table.groupby("policy"):
        by = rows.set_index("shown")
        assert by.loc["last", "lost"] > 2.0 * by.loc["last", "lost_error"]
        if policy != "by_signs":  # which treats whatever is read as abnormal
            assert by.loc["belief", "lost"] < most * by.loc["last", "lost"]


def test_forecasts_from_readings_whose_error_is_declared_are_soon_as_good_as_from_exact_ones() -> None:
    table = pd.read_csv(RESULTS / "read_past_Glucose-v0.csv")
    assert read_past.markdown(table) in (RESULTS.parent.parent / "docs" / "one_person.md").read_text(encoding="utf-8")
    by = table.set_index(["way", "steps"])
    later = [steps for steps in table["steps"].unique() if steps > 1]
    for steps in later:
        assert by.loc[("believed", steps), "crps"] < 1.1 * by.loc[("exact", steps), "crps"]
        assert by.loc[("believed", steps), "coverage_90"] > by.loc[("taken", steps), "coverage_90"]
        assert by.loc[("taken", steps), "crps"] > 1.5 * by.loc[("exact", steps), "crps"]
