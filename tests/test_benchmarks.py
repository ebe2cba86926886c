"""Do the committed results of benchmarks/policies.py still say that agents from twins are worth having?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from twingym.scenarios import get
from twingym.scenarios.scenario import Scenario

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"


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
