"""Is what was taken for granted named wherever a result is shown?"""

import json
from dataclasses import replace

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.test_backbones import SMALL
from tests.test_table_scenario import SPEC, clinic

from twingym.envs.rule_policy import RulePolicy
from twingym.evaluation import evaluate
from twingym.evaluation.caveat import RECORDED, REFERENCE, assumptions, caveat
from twingym.evaluation.comparison import TWIN
from twingym.experiments.report import report
from twingym.experiments.run_dir import EVENTS, TABLES, RunDir
from twingym.scenarios import from_table, get
from twingym.twins import TwinModel
from twingym.twins.network import TwinNetwork

EFFECT = "drug 'metformin' adds 0.5 to the log rate of visits"


@pytest.fixture(scope="module")
def scenario():
    drug = {**SPEC["interventions"]["drug"], "recorded": False, "assumed": {"metformin": {"visits": 0.5}}}
    spec = {**SPEC, "interventions": {"drug": drug}, "table": {**SPEC["table"], "ignore": ["drug"]}}
    return from_table(spec, clinic())


def test_an_assumed_effect_stands_beside_every_table_on_the_board_and_on_the_screen(scenario, tmp_path):
    model, policy = TwinModel(TwinNetwork.untrained(scenario.twin_spec(), SMALL).eval(), {}), scenario.baseline
    found = evaluate(RulePolicy(scenario, policy), scenario, range(60), dynamics=model.dynamics(), courses=True)
    run, page = RunDir.create(tmp_path / "run", {}), Console(record=True, width=200)
    found = replace(found, settings=found.settings | {"dynamics": TWIN}, episodes=found.episodes.assign(dynamics=TWIN))
    report({policy: {TWIN: found}}, run, page)
    said = page.export_text()
    assert EFFECT in said
    assert RECORDED in said
    assert EFFECT in json.loads((run.path / TABLES / "settings.json").read_text())["assumed"][0]
    events = EventAccumulator(str(run.path / EVENTS / "figures")).Reload()
    assert any("assumed" in tag for tag in events.Tags()["tensors"])


def test_what_stands_behind_a_result_depends_on_the_scenario(scenario):
    assert caveat(scenario) == RECORDED
    assert caveat(get("Glucose-v0")) == REFERENCE
    assert assumptions(replace(scenario, assumed={})) == []
