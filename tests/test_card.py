"""Does `twingym card` say what was measured, what was missed, and refuse to write over a card?"""

import json

import pytest

from twingym.evaluation.fidelity import bars
from twingym.evaluation.model_card import CARD, PAGE, page, read_card
from twingym.experiments.cli import main
from twingym.scenarios import get
from twingym.scenarios.weights import weights_folder


def twingym(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(words)
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def shipped():
    return get("Glucose-v0"), read_card(weights_folder(get("Glucose-v0")))


def test_a_quick_card_is_that_of_the_shipped_weights(shipped, tmp_path):
    assert twingym("card", "--env", "Glucose-v0", "--quick", "--out", str(tmp_path)) == 0
    quick, (_, card) = read_card(tmp_path), shipped
    assert quick["judge"] == "reference"
    assert quick["recomputed"].keys() == card["recomputed"].keys()
    assert "Not computed: quick form." in (tmp_path / PAGE).read_text()


def test_a_card_is_not_written_over(tmp_path, capsys):
    (tmp_path / CARD).write_text("{}")
    assert twingym("card", "--env", "Glucose-v0", "--quick", "--out", str(tmp_path)) == 2
    assert "--replace" in capsys.readouterr().err
    assert (tmp_path / CARD).read_text() == "{}"
    assert not (tmp_path / PAGE).exists()


def test_missing_weights_are_named(tmp_path, capsys):
    assert twingym("card", "--env", "Glucose-v0", "--weights", str(tmp_path / "none")) == 2
    assert "twingym fit" in capsys.readouterr().err


def test_the_page_names_every_missed_bar(shipped):
    scenario, card = shipped
    worse = json.loads(json.dumps(card))
    worse["report"]["policies"]["regret"] = 0.2
    worse["bars"] = bars(worse["report"], scenario.fidelity).to_dict(orient="records")
    text = page(worse)
    assert "- Missed: regret at 1, share of the range is 0.2, wanted <= 0.05." in text
    for heading in ("## Bars", "## Calibration", "## Policies", "## What it must not be used for"):
        assert heading in text
    assert "Judged by: **reference**" in text


@pytest.mark.parametrize("name", ["Credit-v0", "Glucose-v0", "Retention-v0"])
def test_the_committed_page_is_that_of_the_committed_card(name):
    folder = weights_folder(get(name))
    assert (folder / PAGE).read_text(encoding="utf-8") == page(read_card(folder))
