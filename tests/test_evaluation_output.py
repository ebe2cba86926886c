"""Are results written whole, never over others, and drawn so that they can be read?"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from twingym.envs import RulePolicy
from twingym.evaluation import (
    Evaluation,
    compare,
    evaluate,
    fairness,
    plot_courses,
    plot_groups,
    plot_person,
    plot_tradeoff,
    verify,
    write_tables,
)
from twingym.evaluation.courses import Courses
from twingym.scenarios import get
from twingym.scenarios.glucose.ambulatory_profile import ambulatory_profile
from twingym.twins.cohort import people
from twingym.twins.errors import ManifestError, RunExistsError, SpecError, UnknownNameError

NUDGE = get(Path(__file__).parent / "nudge_scenario.py")
GLUCOSE = get("Glucose-v0")
TABLE = pd.DataFrame({"twin": [1, 2], "return": [0.1 + 0.2, np.nan]})

# -- tables ----------------------------------------------------------------------------------------------------------


def test_tables_come_back_with_all_their_digits(tmp_path: Path) -> None:
    folder = write_tables(tmp_path / "run" / "tables", {"episodes": TABLE}, {"seeds": [0]})
    pd.testing.assert_frame_equal(pd.read_csv(folder / "episodes.csv"), TABLE, check_exact=True)
    assert json.loads((folder / "settings.json").read_text()) == {"seeds": [0]}
    assert sorted(verify(folder)) == ["episodes.csv", "settings.json"]


def test_the_same_results_have_the_same_hashes(tmp_path: Path) -> None:
    one, other = (write_tables(tmp_path / name, {"episodes": TABLE}, {"a": 1}) for name in "ab")
    assert verify(one) == verify(other)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    folder = write_tables(tmp_path / "tables", {"episodes": TABLE}, {})
    before = verify(folder)
    with pytest.raises(RunExistsError, match="never overwritten"):
        write_tables(folder, {"episodes": TABLE + 1}, {})
    assert verify(folder) == before


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_tables(tmp_path / "tables", {"episodes": TABLE}, {"not json": object()})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("harm", ["changed", "missing", "added", "no manifest"])
def test_harm_to_a_folder_is_noticed(tmp_path: Path, harm: str) -> None:
    folder = write_tables(tmp_path / "tables", {"episodes": TABLE}, {})
    target = folder / "episodes.csv"
    if harm == "changed":
        target.write_text(target.read_text().replace("1", "7"))
    elif harm == "missing":
        target.unlink()
    elif harm == "added":
        (folder / "more.csv").write_text("a\n1\n")
    else:
        (folder / "manifest.json").unlink()
    with pytest.raises(ManifestError):
        verify(folder)


# -- figures ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judged() -> dict[str, Evaluation]:
    rules = ("basal_bolus", "pid")
    ids = people("test", 24)
    return {r: evaluate(RulePolicy(GLUCOSE, r), GLUCOSE, ids, name=r, horizon=288, courses=True) for r in rules}


def drawn(figure: Figure, path: Path) -> str:
    """Save a figure and return every word on it."""
    figure.savefig(path, dpi=60)
    assert path.stat().st_size > 5_000
    words = [text.get_text() for text in figure.findobj(mpl.text.Text)]
    return " | ".join(w for w in words if isinstance(w, str))


def test_one_person_in_five_lines(tmp_path: Path) -> None:
    from twingym.envs import RulePolicy
    from twingym.evaluation import plot_person

    figure = plot_person("Glucose-v0", RulePolicy(GLUCOSE, "basal_bolus"), twin=7, name="basal-bolus")
    figure.savefig(tmp_path / "person.png")
    words = drawn(figure, tmp_path / "person.png")
    for word in (
        "twin 7 under basal-bolus",
        "mg/dL",
        "safe band 70 to 180",
        "insulin (U/h)",
        "carbs",
        "time (h)",
        "not for treatment",
    ):
        assert word in words
    line = figure.axes[0].lines[0]
    assert len(line.get_xdata()) == 289


def test_glucose_is_drawn_in_mmol_on_request(judged: dict[str, Evaluation], tmp_path: Path) -> None:
    pid = RulePolicy(GLUCOSE, "pid")
    here, there = (plot_person(GLUCOSE, pid, 7, horizon=60, unit=unit) for unit in (None, "mmol/L"))
    np.testing.assert_allclose(
        np.asarray(here.axes[0].lines[0].get_ydata()) / 18.0, there.axes[0].lines[0].get_ydata(), rtol=1e-6
    )
    words = drawn(there, tmp_path / "person.png")
    assert "safe band 3.889 to 10" in words
    assert "mg/dL" not in words
    whole = judged["pid"].courses
    assert isinstance(whole, Courses)
    folded = plot_courses(judged["pid"], period=1440.0, unit="mmol/L")
    np.testing.assert_allclose(
        folded.axes[0].lines[-1].get_ydata(), ambulatory_profile(whole.values["cgm"][:, :-1])[2] / 18.0, rtol=1e-5
    )
    assert "25 to 75 %" in drawn(folded, tmp_path / "profile.png")
    moments = evaluate(pid, GLUCOSE, people("test", 24), horizon=60, courses="moments")
    assert "(mmol/L)" in drawn(plot_courses(moments, "cgm", unit="mmol/L"), tmp_path / "moments.png")
    with pytest.raises(UnknownNameError, match="Did you mean 'mmol/L'"):
        plot_person(GLUCOSE, pid, 7, horizon=5, unit="mmol/l")


def test_levels_and_an_early_end_are_drawn(tmp_path: Path) -> None:
    policy = RulePolicy(NUDGE, "always", {"level": 2.0})
    episodes = evaluate(policy, NUDGE, people("test", 40)).episodes
    quitter = int(episodes[episodes["steps"] < 8]["twin"].iloc[0])
    words = drawn(plot_person(NUDGE, policy, quitter), tmp_path / "person.png")
    for word in ("episode ended", "nothing", "call", "time (week)"):
        assert word in words


def test_courses_are_drawn_whole_folded_and_from_moments(judged: dict[str, Evaluation], tmp_path: Path) -> None:
    whole = plot_courses(judged)
    assert "pid (reference, 24 courses)" in drawn(whole, tmp_path / "a.png")
    mean = whole.axes[0].lines[-1].get_ydata()
    courses = judged["basal_bolus"].courses
    assert courses is not None
    np.testing.assert_allclose(mean, np.nanmean(courses.values["cgm"].astype(float), axis=0))
    folded = plot_courses(judged["pid"], period=720.0)
    assert len(folded.axes[0].lines[-1].get_ydata()) == 144
    moments = evaluate(RulePolicy(GLUCOSE, "pid"), GLUCOSE, people("test", 24), horizon=60, courses="moments")
    assert "5 worst people" in drawn(plot_courses(moments, "insulin"), tmp_path / "b.png")
    with pytest.raises(SpecError, match="folded"):
        plot_courses(moments, period=1440.0)
    with pytest.raises(SpecError, match="courses"):
        plot_courses(evaluate(RulePolicy(GLUCOSE, "pid"), GLUCOSE, people("test", 8), horizon=5))
    with pytest.raises(UnknownNameError, match="cgm"):
        plot_courses(judged, "cgn")


def test_groups_are_drawn_with_sizes_and_intervals(judged: dict[str, Evaluation], tmp_path: Path) -> None:
    found = {name: fairness(e, judged["basal_bolus"]) for name, e in judged.items()}
    words = drawn(plot_groups(found, "below_70", unit="share of time", limit=0.04), tmp_path / "a.png")
    sizes = judged["pid"].episodes["weight_band"].value_counts()
    for word in (
        "below 70 (share of time)",
        f"heavy\nn = {sizes['heavy']}*",
        "sensitivity band",
        "pid",
        "fewer than 30",
    ):
        assert word in words
    assert "gap" in drawn(plot_groups(found["pid"], "gain"), tmp_path / "b.png")
    with pytest.raises(UnknownNameError, match="below_70"):
        plot_groups(found, "below_7")


def test_the_trade_off_is_drawn_with_its_limit(judged: dict[str, Evaluation], tmp_path: Path) -> None:
    comparison = compare({name: {"reference": e} for name, e in judged.items()})
    words = drawn(plot_tradeoff(comparison, GLUCOSE, "time_in_range"), tmp_path / "a.png")
    for word in ("limit 0.04", "below 70 (share of time)", "time in range", "basal_bolus", "on the reference"):
        assert word in words
    assert "return above basal_bolus's" in drawn(plot_tradeoff(comparison, GLUCOSE, "gain"), tmp_path / "b.png")
    with pytest.raises(UnknownNameError, match="time_in_range"):
        plot_tradeoff(comparison, GLUCOSE, "time_in_rang")


def test_public_names_are_what_they_say_in_whatever_order_files_were_imported() -> None:
    import importlib

    import twingym.evaluation as evaluation

    for name in evaluation.__all__:
        importlib.import_module(f"twingym.evaluation.{evaluation._WHERE[name]}")
        assert getattr(evaluation, name).__name__ == name
