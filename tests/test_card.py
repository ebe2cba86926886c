"""Does `twingym card` say what was measured, what was missed, go on where it was stopped, and write over nothing?"""

import dataclasses
import json

import numpy as np
import pytest
from tests.command_line import twingym

from twingym.evaluation.cards.model_card import CARD, PAGE, read_card, write_card
from twingym.evaluation.cards.page import PLOT, page
from twingym.evaluation.fidelity.report import Effort, bars
from twingym.experiments.card import Args, depends_on, judged
from twingym.experiments.console import console
from twingym.experiments.finished_blocks import NAME, FinishedBlocks
from twingym.scenarios import get, names
from twingym.scenarios.registry import ships
from twingym.scenarios.weights import weights_folder
from twingym.twins import TwinModel
from twingym.twins.model import digest

FEW = Effort(
    people=40,
    train_people=80,
    samples=10,
    doubt_samples=10,
    calibration_people=60,
    calibration_samples=10,
    recalibration_people=40,
    curve_samples=2,
    window_people=90,
)
# What is no effort of the card's, but takes time.
SMALL = {
    "evaluation.fidelity.report.SHIFT_PEOPLE": 30,
    "evaluation.fidelity.report.SHIFT_SAMPLES": 4,
    "evaluation.fidelity.report.ADVERSARY_PEOPLE": 10,
    "evaluation.fidelity.shift.ROUNDS": 1,
    "evaluation.fidelity.shift.CANDIDATES": 2,
    "evaluation.fidelity.two_sample.EPOCHS": 3,
    "evaluation.fidelity.speed.BATCHES": (16,),
    "evaluation.fidelity.speed.SECONDS": 0.01,
    "experiments.card.QUICK": FEW,
    "experiments.card.snapshots": lambda scenario: {},
}


@pytest.fixture(scope="module")
def retention():
    """Retention with a plan of few people and policies, and its twin model."""
    scenario = get("Retention-v0")
    plan = scenario.fidelity
    policies = {name: plan.policies[name] for name in ("never", "blanket")}
    few = {"people": 40, "effect_people": 40, "effect_samples": 10, "policy_people": 60, "anchor_people": 0}
    plan = dataclasses.replace(plan, **few, policies=policies, policy_steps=40)
    model = TwinModel.load(weights_folder(scenario), scenario.world_fingerprint())
    return dataclasses.replace(scenario, fidelity=plan, judged_horizon=40), model


@pytest.fixture(scope="module")
def whole(retention, tmp_path_factory):
    """A card with every block, of few people, and its folder."""
    scenario, model = retention
    with pytest.MonkeyPatch.context() as patch:
        for place, value in SMALL.items():
            patch.setattr(f"twingym.{place}", value)
        folder = tmp_path_factory.mktemp("card")
        content = judged(scenario, model, console(), effort=FEW, finished=FinishedBlocks(folder, {"of": "these"}))
    write_card(folder, content)
    return folder


def test_every_block_of_the_protocol_is_computed(whole):
    assert set(read_card(whole)["report"]) == {
        *("seed", "forecast", "likelihood", "effects", "disagreement", "policies", "drift", "calibration", "fairness"),
        *("dose_response", "paths", "shift", "two_sample", "speed"),
    }


def test_the_page_shows_every_block(whole):
    text = (whole / PAGE).read_text()
    titles = ("Bars", "Forecasts", "Effects", "Doses", "On the way", "Calibration", "Policies", "Fairness of the model")
    titles += ("Shift", "Two-sample scores", "Speed", "Exploitability", "What it must not be used for")
    assert [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")] == list(titles)
    assert "quick form" not in text
    assert "Judged by: **reference**" in text
    assert (whole / PLOT).read_bytes().startswith(b"\x89PNG")
    tables = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(tables) > 100
    assert "nan" not in text


def test_the_page_names_every_missed_bar(whole, retention):
    worse = read_card(whole)
    worse["report"]["policies"]["regret"] = 0.2
    worse["bars"] = bars(worse["report"], retention[0].fidelity).to_dict(orient="records")
    assert "- Missed: regret at 1, share of the range is 0.2, wanted <= 0.05." in page(worse)


def test_a_stopped_card_goes_on_where_it_was(whole, retention, tmp_path):
    """All blocks but two are there; those two are computed again, and come to the same."""
    scenario, model = retention
    (tmp_path / NAME).write_bytes((whole / NAME).read_bytes())
    kept = json.loads((tmp_path / NAME).read_text())
    for name in ("likelihood", "drift"):
        del kept["blocks"][name]
    (tmp_path / NAME).write_text(json.dumps(kept))
    finished = FinishedBlocks(tmp_path, {"of": "these"})
    assert "calibration" in finished.found
    assert not {"likelihood", "drift"} & set(finished.found)
    again = judged(scenario, model, console(), effort=FEW, finished=finished)
    assert again == read_card(whole)


def test_what_was_finished_before_a_stop_is_kept(tmp_path):
    def stopped():
        raise KeyboardInterrupt

    blocks = FinishedBlocks(tmp_path, {"of": "these"})
    assert blocks.once("first", lambda: {"value": np.float32(0.5), "interval": (0.0, 1.0)}) == {
        "value": 0.5,
        "interval": [0.0, 1.0],
    }
    with pytest.raises(KeyboardInterrupt):
        blocks.once("second", stopped)
    again = FinishedBlocks(tmp_path, {"of": "these"})
    assert again.found == ("first",)
    assert again.once("first", stopped)["value"] == 0.5
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_blocks_depend_on_weights_plan_and_judge(retention):
    scenario, folder = get("Retention-v0"), weights_folder(get("Retention-v0"))
    args = Args("Retention-v0")
    whole = depends_on(args, scenario, folder)
    assert json.loads(json.dumps(whole)) == whole
    assert depends_on(args, retention[0], folder)["plan"] != whole["plan"]
    assert depends_on(dataclasses.replace(args, against="challenger"), scenario, folder) != whole
    assert depends_on(args, scenario, weights_folder(get("Glucose-v0")))["weights"] != whole["weights"]


def test_blocks_of_another_model_are_not_used(whole, tmp_path):
    (tmp_path / NAME).write_bytes((whole / NAME).read_bytes())
    assert FinishedBlocks(tmp_path, {"of": "those"}).found == ()
    (tmp_path / NAME).write_text("cut off")
    assert FinishedBlocks(tmp_path, {"of": "these"}).found == ()


def test_the_quick_form_is_written_and_leaves_nothing_behind(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("twingym.experiments.card.QUICK", dataclasses.replace(FEW, branches=0.02))
    (tmp_path / NAME).write_text("{}")  # of something else
    assert twingym("card", "--env", "Retention-v0", "--quick", "--out", str(tmp_path)) == 0
    card = read_card(tmp_path)
    assert card["judge"] == "reference"
    assert card["report"] == card["recomputed"]
    assert "Not computed: quick form." in (tmp_path / PAGE).read_text()
    assert {path.name for path in tmp_path.iterdir()} == {CARD, PAGE, PLOT}
    assert "Kendall" not in capsys.readouterr().out


def test_a_card_is_not_written_over(tmp_path, capsys):
    (tmp_path / CARD).write_text("{}")
    assert twingym("card", "--env", "Glucose-v0", "--quick", "--out", str(tmp_path)) == 2
    assert "--replace" in capsys.readouterr().err
    assert (tmp_path / CARD).read_text() == "{}"
    assert not (tmp_path / PAGE).exists()


def test_missing_weights_are_named(tmp_path, capsys):
    assert twingym("card", "--env", "Glucose-v0", "--weights", str(tmp_path / "none")) == 2
    assert "twingym fit" in capsys.readouterr().err


@pytest.mark.parametrize("name", list(filter(ships, names())))
def test_the_committed_page_is_that_of_the_committed_card_and_that_of_the_committed_weights(name):
    folder = weights_folder(get(name))
    assert (folder / PAGE).read_text(encoding="utf-8") == page(read_card(folder))
    assert read_card(folder)["weights"] == digest(folder) == TwinModel.load(folder).sha256
