"""How `twingym fit` gets its courses."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from tests.command_line import twingym

from twingym.envs.dynamics import CHALLENGER
from twingym.evaluation.cards.replacement import lost_bars
from twingym.experiments.fit import one_ahead, others
from twingym.twins.model import TwinModel, digest


def test_the_next_epoch_is_recorded_while_one_is_learned_from() -> None:
    begun, asked, hold = [], Event(), Event()

    def record(epoch):
        begun.append(epoch)
        if epoch == 4:
            asked.set()
            hold.wait()
        return f"courses of {epoch}"

    with ThreadPoolExecutor(1) as other:
        fresh = one_ahead(record, 5, other)
        assert fresh(3) == "courses of 3"  # a resumed fit begins anywhere
        assert asked.wait(10.0)  # nobody asked for them yet
        hold.set()
        assert fresh(4) == "courses of 4"
    assert begun == [3, 4]  # each once, and none beyond the last


@pytest.fixture
def nudge(tmp_path):
    """Nudge with a plan, whose card is left out: models of one epoch clear no bar."""
    path = tmp_path / "nudge.py"
    source = (Path(__file__).parent / "nudge_scenario.py").read_text()
    path.write_text(source + PLANNED)
    return path


PLANNED = """

from dataclasses import replace  # noqa: E402

from twingym.scenarios.fidelity_plan import FidelityPlan  # noqa: E402


def weekly(traits, inputs, u):
    return np.zeros((len(u), inputs.shape[1] - 1, 1))


SCENARIO = replace(SCENARIO, fidelity=FidelityPlan(
    variable="mood", history=4, horizons={"2 weeks": 2, "4 weeks": 4}, coverage={"1 week": 1}, schedule=weekly,
    branch=lambda inputs, amounts: np.full(len(inputs), 4), doses={}, effect_steps=4,
    policies={"always": ("always", {})}, metric="return", tolerance=1.0, policy_steps=12, drift="always",
    drift_tolerance=1.0, shift=lambda amounts, factor: amounts,
))
"""


def run_fit(path, *words):
    small = ("--people", "600", "--held-out", "60", "--batch-tokens", "300", "--ema", "0.9", "--no-card")
    return twingym("fit", "--env", str(path), *small, *words)


def test_a_worse_model_is_kept_aside_and_named(nudge, capsys):
    folder = nudge.parent / "nudge_twin"
    assert run_fit(nudge, "--epochs", "4", "--batches", "30") == 0
    good = digest(folder)
    assert run_fit(nudge, "--replace", "--epochs", "1", "--batches", "1") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "its CRPS" in said
    assert str(folder / "refused") in said
    assert "--even-if-worse" in said
    assert digest(folder) == good
    assert digest(folder / "refused") != good
    (folder / "card.json").write_text("{}")  # of the good one
    assert run_fit(nudge, "--replace", "--epochs", "1", "--batches", "1", "--even-if-worse") == 0
    assert not (folder / "card.json").exists()
    assert digest(folder) == digest(folder / "refused")


def test_bars_that_would_be_lost_are_named():
    def card(*cleared):
        rows = [{"check": f"check {k}", "value": 0.5, "bar": "<= 1", "cleared": c} for k, c in enumerate(cleared)]
        return {"bars": rows}

    assert lost_bars(card(True, False, True), card(False, False, True)) == [
        "check 0 is 0.5, wanted <= 1, which the old one cleared"
    ]
    assert lost_bars(card(False, False, True), card(True, True, True)) == []
    assert lost_bars({}, card(False)) == []  # an old card of another form


def test_without_a_plan_a_worse_model_is_known_by_its_likelihood(tmp_path, capsys):
    path = tmp_path / "nudge.py"
    path.write_bytes(Path(__file__).with_name("nudge_scenario.py").read_bytes())
    assert run_fit(path, "--epochs", "4", "--batches", "30") == 0
    good = digest(tmp_path / "nudge_twin")
    assert run_fit(path, "--replace", "--epochs", "1", "--batches", "1") == 2
    assert "nats less likely" in " ".join(capsys.readouterr().err.split())
    assert digest(tmp_path / "nudge_twin") == good


def test_a_challenger_learns_from_other_people_with_another_backbone(nudge):
    words = ("--epochs", "1", "--batches", "1", "--challenger", "gru")
    assert run_fit(nudge, *words) == 0
    fitted = TwinModel.load(nudge.parent / "nudge_twin" / CHALLENGER)
    assert fitted.network.config.backbone == "gru"
    assert others("train", 50, "gru").min() > others("train", 700_000, None).max()  # however many either asks for


def test_a_challenger_of_the_same_backbone_is_refused(tmp_path, capsys):
    path = tmp_path / "nudge.py"
    source = (Path(__file__).parent / "nudge_scenario.py").read_text()
    gru = "SCENARIO = replace(SCENARIO, network=TransformerConfig(backbone='gru'))"
    imports = "from dataclasses import replace\nfrom twingym.twins.transformer_config import TransformerConfig"
    path.write_text(f"{source}\n{imports}\n{gru}\n")
    assert run_fit(path, "--challenger", "gru") == 2
    assert "allowed: another backbone" in " ".join(capsys.readouterr().err.split())
