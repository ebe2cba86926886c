"""Is a new scenario sound as it is written, and is each thing that can be broken in it found, named and explained?"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.command_line import twingym

from twingym.evaluation import Finding, check_scenario
from twingym.evaluation.checks.golden_course import GoldenCourses, golden_path, write_golden
from twingym.evaluation.checks.scenario import CHECKS
from twingym.evaluation.checks.subject import Subject
from twingym.experiments.card import SNAPSHOTS
from twingym.experiments.check_scenario import trained
from twingym.scenarios import get, names
from twingym.scenarios.registry import ships
from twingym.scenarios.template import write_scenario
from twingym.scenarios.weights import weights_folder
from twingym.twins.errors import RunExistsError, SpecError, UnknownNameError, WeightsError

pytestmark = pytest.mark.usefixtures("own_registry")
KINDS = ("patient", "consumer")
NAMES = {"patient": "Dose", "consumer": "Message"}


def edit(path: Path, *changes: tuple[str, str]) -> Path:
    """Replace words in a file, each of which must be there."""
    text = path.read_text(encoding="utf-8")
    for written, instead in changes:
        assert written in text, written
        text = text.replace(written, instead)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def new(tmp_path: Path) -> Callable[[str], Path]:
    """Write a new scenario of a kind."""
    return lambda kind: write_scenario(NAMES[kind], kind, tmp_path / f"{kind}.py")


# -- a new file --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_scenario_is_short_and_sound(kind: str, new: Callable[[str], Path]) -> None:
    path = new(kind)
    text = path.read_text(encoding="utf-8")
    code = [line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    assert len(code) <= 100
    assert max(map(len, text.splitlines())) <= 120
    scenario = get(path)
    assert (scenario.id, scenario.kind) == (f"{NAMES[kind]}-v0", kind)
    assert len(scenario.constraints) == len(scenario.rules) == 3
    assert scenario.sources
    begun: list[str] = []
    found = check_scenario(path, tell=begun.append)
    assert [str(finding) for finding in found if finding.fails] == []
    assert begun == list(CHECKS)


def test_a_new_file_says_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert twingym("new-scenario", "SleepWell", "--kind", "consumer") == 0
    shown = capsys.readouterr().out
    for command in ("check-scenario ", "fit --env ", "train --env "):
        assert f"twingym {command}sleep_well_scenario.py" in shown
    written = (tmp_path / "sleep_well_scenario.py").read_text(encoding="utf-8")
    assert '"SleepWell-v0"' in written
    assert twingym("new-scenario", "SleepWell", "--kind", "patient") == 2
    assert "never overwritten" in capsys.readouterr().err
    assert (tmp_path / "sleep_well_scenario.py").read_text(encoding="utf-8") == written


def test_commands_that_come_next_may_be_pasted_where_a_folder_has_a_space(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "my own worlds" / "sleep.py"
    path.parent.mkdir()
    assert twingym("new-scenario", "Sleep", "--kind", "patient", "--out", str(path)) == 0
    typed = [shlex.split(line) for line in capsys.readouterr().out.splitlines() if line.startswith("  twingym ")]
    assert [words[-1] for words in typed] == [str(path)] * 3


@pytest.mark.parametrize(
    ("name", "kind", "file", "message"),
    [
        ("Sleep-v0", "patient", None, "name is 'Sleep-v0'; allowed: letters"),
        ("Glucose", "patient", None, "Glucose-v0 exists already; choose another name"),
        ("Sleep", "patiant", None, "Did you mean 'patient'"),
        ("Sleep", "patient", Path("sleep.txt"), "one that ends in .py"),
    ],
)
def test_a_file_that_cannot_be_a_scenario_is_not_written(
    name: str, kind: str, file: Path | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((SpecError, UnknownNameError), match=message):
        write_scenario(name, kind, file)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


# -- what can be wrong -------------------------------------------------------------------------------------------------


def broken(check: str, kind: str, message: str, *changes: tuple[str, str]) -> object:
    return pytest.param(check, kind, changes, message, id=f"{check}: {changes[0][1].strip()[:40]}")


AUC = 'step.after["auc"]'
BROKEN = [
    broken(
        "spec",
        "patient",
        r"^the declaration: scenario file .*patient\.py fails: SystemExit: 3. Mend it first",
        ("# 1. Who are they?", "import sys\n\nsys.exit(3)  # 1. Who are they?"),
    ),
    broken("spec", "patient", "NameError: name 'RYBACK' is not defined", ("MATZKE, RYBAK)", "MATZKE, RYBACK)")),
    broken("spec", "patient", r"harm_gap_age\].trait is 'age'; allowed: one of", ('trait="age_band"', 'trait="age"')),
    broken(
        "people", "patient", "trait kidney: .*; allowed: 10 to 250 mL/min. Clip", ("10.0, 250.0)\n", "10.0, 550.0)\n")
    ),
    broken(
        "people",
        "patient",
        "trait kidney: differs in other company; allowed: the same person",
        ("(72.0 * creatinine)", "(72.0 * creatinine.mean() * np.ones(len(sex)))"),
    ),
    broken("people", "consumer", r"\['age_band', 'band'\] are only declared", ('{"age_band": old}', '{"band": old}')),
    broken(
        "reference",
        "patient",
        r"observed at birth: an array of \(64,\); allowed: \(64, 1\): auc",
        ("measured[:, None]", "measured"),
    ),
    broken(
        "reference",
        "patient",
        "twice: other courses; allowed: the same bits. Take randomness from `noise` alone",
        ("noise_width = 1\n", "noise_width = 1\n    luck = np.random.default_rng(0)\n"),
        ("0.08 * ndtri(noise[:, 0])", "0.08 * self.luck.normal(size=len(left))"),
    ),
    broken("reference", "patient", "reverse order: other courses", ("ndtri(noise[:, 0])", "(auc - auc.mean())")),
    broken("reference", "patient", "the most dose: nothing observed", ("action[:, 0] / volume", "0.0 * volume")),
    broken(
        "reference", "patient", "variable auc: nan for", ("auc = 24.0 / HOURS", "auc = np.sqrt(level - 5.0) * HOURS")
    ),
    broken(
        "reference", "patient", "auc: .* at random, .* widen the bounds", ("1.0, 3000.0, scale", "1.0, 300.0, scale")
    ),
    broken(
        "reference",
        "consumer",
        "leaves .event.: .* whole numbers",
        ("(risk >= 0.99).astype(float)", "np.clip(risk - 0.5, 0.0, 1.0)"),
    ),
    broken(
        "reference",
        "patient",
        "a step of a copy that take.. made: changed the original",
        (
            "level, clearance, volume = state",
            "state[0] += 5.0\n        level, clearance, volume = state[:, : len(action)]",
        ),
        (
            "    def _wait",
            "    def take(self, state: Floats, rows: Floats) -> Floats:\n        return state\n\n    def _wait",
        ),
    ),
    broken("env", "patient", "cost above_600: -1; allowed: 0 or more", ("> 600.0, 1.0, 0.0", "> 600.0, 1.0, -1.0")),
    broken("env", "patient", r"cost below_400: an array of \(\)", (f"{AUC} < 400.0", f"{AUC}.mean() < 400.0")),
    broken(
        "env",
        "patient",
        "reward: fails with UnknownNameError: .*Did you mean 'auc'",
        (f"{AUC} / 500", 'step.after["acu"] / 500'),
    ),
    broken("env", "consumer", "reward: (nan|inf); allowed: finite", ("/ SUITED_STEPS", '/ step.after["leaves"]')),
    broken(
        "limits",
        "patient",
        "limit above_600: .*allowed: a rule that is surely above the limit, 0.9.*lower it",
        ("too_much, 0.20", "too_much, 0.90"),
    ),
    broken(
        "limits",
        "patient",
        "nearest is .*: raise it, or add a rule",
        ("too_much, 0.20", "too_much, 0.001"),
        ("too_little, 0.20", "too_little, 0.001"),
    ),
    broken(
        "limits",
        "patient",
        "limits together: .*below_400 up to .*Ask more than 150 people",
        ("too_little, 0.20", "too_little, 0.051"),
    ),
    broken(
        "limits", "patient", "rule one_dose: fails with KeyError: 'dose'", ('{"dose": settings', '{"doses": settings')
    ),
    broken(
        "groups",
        "patient",
        "age_band = over_65: .* of 150 people; allowed: 30 or more",
        ("[:, 1] + 0.4)", "[:, 1] + 0.03)"),
    ),
    broken(
        "groups",
        "patient",
        "groups of sex: no limit speaks of them",
        ('groups=("age_band"', 'groups=("sex", "age_band"'),
    ),
]


@pytest.mark.parametrize(("check", "kind", "changes", "message"), BROKEN)
def test_what_is_broken_is_found_and_explained(
    check: str, kind: str, changes: list[tuple[str, str]], message: str, new: Callable[[str], Path]
) -> None:
    path = edit(new(kind), *changes)
    found = check_scenario(path, count=150) if check == "spec" else CHECKS[check](Subject(get(path), {}, 150, None))
    with np.errstate(all="ignore"):
        told = [str(finding) for finding in found]
    assert any(re.search(message, text) for text in told), told


def test_whatever_a_check_meets_is_told_and_ends_the_checks(new: Callable[[str], Path]) -> None:
    path = edit(new("patient"), ("        volume = VOLUME", "        volume = 1 / 0 * VOLUME"))
    begun: list[str] = []
    (failure,) = [finding for finding in check_scenario(path, tell=begun.append) if finding.fails]
    assert begun == ["spec", "people", "reference"]
    assert "fails with ZeroDivisionError: division by zero; allowed: no error" in str(failure)


def test_hard_limits_must_bite() -> None:
    nudge = get(Path(__file__).parent / "nudge_scenario.py")
    assert not [f for f in check_scenario(nudge, count=60) if f.what == "hard limit in_a_row"]
    idle = replace(nudge, rules={"every_other": nudge.rules["every_other"]}, behaviour={"every_other": 1.0})
    told = [str(f) for f in check_scenario(idle, count=60) if f.what == "hard limit in_a_row"]
    assert told == [
        "hard limit in_a_row: no policy was ever stopped; allowed: one that is. " + told[0].split(". ", 1)[1]
    ]


def test_a_known_policy_may_keep_what_no_rule_keeps(new: Callable[[str], Path]) -> None:
    from twingym.envs import RulePolicy

    path = edit(new("patient"), ('"trust": 0.5', '"trust": 0.0'), ('"target": 490.0', '"target": 900.0'))
    scenario = get(path)
    together = [f for f in check_scenario(scenario, count=150) if f.what == "limits together"]
    assert len(together) == 1
    tuned = {"tuned": RulePolicy(scenario, "by_level", {"trust": 0.5, "target": 490.0})}
    assert not [f for f in check_scenario(scenario, tuned, count=150) if f.what == "limits together"]


def test_known_policies_are_asked_only_where_no_rule_keeps_all_limits(new: Callable[[str], Path]) -> None:
    scenario = get(new("patient"))
    subject = Subject(scenario, {"unasked": object()}, 150, None)  # type: ignore[dict-item]
    assert not [f for f in CHECKS["limits"](subject) if f.fails]
    assert list(subject.judged) == list(scenario.rules)


def test_policies_that_lie_beside_the_weights_are_known(new: Callable[[str], Path]) -> None:
    assert {"ppo_twin", "ppo_reference"} <= set(trained("Glucose-v0"))
    path = new("patient")
    assert trained(str(path)) == {}
    shutil.copytree(
        weights_folder(get("Glucose-v0")) / SNAPSHOTS / "ppo_twin", path.with_name("patient_twin") / SNAPSHOTS / "ppo"
    )
    with pytest.raises(WeightsError, match="was trained on scenario 'Glucose-v0' with observations"):
        trained(str(path))
    edit(path, ("MATZKE, RYBAK)", "MATZKE, RYBACK)"))
    assert trained(str(path)) == {}  # what is wrong with it is the check's to tell


def test_a_scenario_without_anything_to_move_its_people_is_not_checked_further(new: Callable[[str], Path]) -> None:
    path = edit(new("patient"), ("    reference=Reference,\n", ""))
    found = check_scenario(path)
    assert [f.check for f in found if f.fails] == ["spec"]
    assert "neither a reference nor a twin model; allowed: one of them" in str(found[0])


def test_findings_say_what_value_allowed_and_next_step() -> None:
    finding = Finding("limit x", "0.1", "above 0.2", "Lower it.")
    assert str(finding) == "limit x: 0.1; allowed: above 0.2. Lower it."
    with pytest.raises(UnknownNameError, match="Did you mean 'Glucose-v0'"):
        check_scenario("Glucos-v0")
    with pytest.raises(SpecError, match="does not exist"):
        check_scenario("nowhere.py")
    with pytest.raises(SpecError, match="count is 0"):
        check_scenario("Glucose-v0", count=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(filter(ships, names())))
def test_what_ships_is_sound(name: str) -> None:
    """Retention's gap in contacts is small beside how people differ: only thousands show that a rule breaks it."""
    count = 6000 if name == "Retention-v0" else 2000
    assert [str(f) for f in check_scenario(name, trained(name), count=count) if f.fails] == []


# -- golden courses ----------------------------------------------------------------------------------------------------


def test_golden_courses_hold_a_version_still(new: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = new("consumer")
    kept = path.with_name("consumer_golden.json")
    assert twingym("check-scenario", str(path), "--golden", "--people", "150") == 0
    first = kept.read_bytes()
    assert len(first) < 20_000
    assert twingym("check-scenario", str(path), "--people", "150") == 0

    edit(path, ("0.9 * habituation", "habituation - 0.1 * habituation"), ("Begin fresh", "Start fresh"))
    assert write_golden(get(path)) == kept  # the same up to rounding
    assert kept.read_bytes() == first
    notes = [f for f in check_scenario(path, count=150) if f.check == "golden courses"]
    assert [f.fails for f in notes] in ([], [False])

    edit(path, ("GENERIC_STEPS, SUITED_STEPS = 50.0", "GENERIC_STEPS, SUITED_STEPS = 60.0"))
    capsys.readouterr()
    assert twingym("check-scenario", str(path), "--people", "150") == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "failure: observed steps of person 3 under generic at step 1: " in shown
    assert "If that is meant, raise the id to Message-v1 and record it with --golden; else undo it." in shown
    assert twingym("check-scenario", str(path), "--people", "150", "--golden") == 2
    assert "raise the version in the id to Message-v1" in capsys.readouterr().err
    assert kept.read_bytes() == first

    edit(path, ("Message-v0", "Message-v1"))
    told = [str(f) for f in check_scenario(path, count=150) if f.fails]
    assert told == [
        "consumer_golden.json: is of Message-v0; allowed: Message-v1. Record those of this version with --golden."
    ]
    assert twingym("check-scenario", str(path), "--people", "150", "--golden") == 0
    assert GoldenCourses.read(kept).scenario == "Message-v1"

    edit(path, ("Message-v1", "Message-v0"))
    with pytest.raises(RunExistsError, match="golden courses of Message-v1, which Message-v0 does not follow"):
        write_golden(get(path))


def changed(kind: str, what: str, *changes: tuple[str, str]) -> object:
    return pytest.param(kind, changes, what, id=f"{kind}: {changes[0][1].strip()[:40]}")


NO_TAIL = ("0.08 * ndtri(noise[:, 0])", "0.08 * np.minimum(3.0, ndtri(noise[:, 0]))")
CHANGED = [
    changed("consumer", "cumulative at most 0.3 people; allowed: cumulative at most 0.2", ("left, 0.2,", "left, 0.3,")),
    changed("consumer", "under seldom at step", ('"every": 9.0', '"every": 8.0')),
    changed(
        "consumer",
        "rule rarely: a rule; allowed: no rule",
        ('"seldom": Rule', '"rarely": Rule'),
        ('"seldom": 1.0', '"rarely": 1.0'),
    ),
    changed("consumer", "steps: continuous, 0 to 500 steps, log", ("400.0, scale=", "500.0, scale=")),
    changed("consumer", "costs left of person", ('return step.after["l', 'return 2.0 * step.after["l')),
    changed("consumer", "baseline rule: seldom; allowed: generic", ('baseline="generic"', 'baseline="seldom"')),
    changed("patient", "judged over 28, .*; allowed: 14 .* over 14", ("horizon=14", "horizon=14, judged_horizon=28")),
    changed(
        "patient",
        "group traits: age_band, sex; allowed: age_band$",
        ('groups=("age_band",', 'groups=("age_band", "sex"'),
    ),
    changed(
        "patient",
        "limit above_600: rate at most 0.2; allowed: rate at most 0.2, primary",
        ("too_much, 0.20, primary=True", "too_much, 0.20"),
        ("too_little, 0.20", "too_little, 0.20, primary=True"),
    ),
    changed("patient", "mean of trait age_band among 2000 people: 0.42", ("[:, 1] + 0.4)", "[:, 1] + 0.41)")),
    changed("patient", "mean of trait kidney among 2000 people", ("0, 250.0)\n", "0, 249.0)\n")),
    changed("patient", "^[a-z ]+ of observed auc among 2000 people", NO_TAIL),
    changed("consumer", "", ('"""Send a message, or none', '"""Send none, or a message')),
    changed("consumer", "", ("habituation + 0.05, 1.0)", "0.05 + habituation, 1.0)"), ('"misread"', '"mistaken"')),
]


@pytest.mark.parametrize(("kind", "changes", "what"), CHANGED)
def test_golden_courses_notice_what_is_behaviour_and_nothing_else(
    kind: str, changes: list[tuple[str, str]], what: str, new: Callable[[str], Path]
) -> None:
    path = new(kind)
    kept = GoldenCourses.record(get(path))
    now = GoldenCourses.record(get(edit(path, *changes)))
    told = [f"{d.what}: {d.now}; allowed: {d.was}" for d in kept.differences(now)]
    assert any(re.search(what, text) for text in told) if what else told == []
    assert kept.same_bits(now) == (not told)
    if changes == (NO_TAIL,):
        assert all(" among 2000 people" in text for text in told), "three people under rules never meet that tail"


def test_golden_courses_keep_every_bit_and_what_is_not_a_number(tmp_path: Path) -> None:
    courses = {"rule": {"reward": np.array([[1.0 / 3.0, np.nan, 1e-300]])}}
    kept = GoldenCourses("X-v0", {"a": "b"}, {}, courses, {"reward": np.array([0.1 + 0.2, np.nan])})
    kept.write(tmp_path / "g.json")
    assert "NaN" not in (tmp_path / "g.json").read_text(encoding="utf-8")
    again = GoldenCourses.read(tmp_path / "g.json")
    assert kept.same_bits(again)
    assert list(kept.differences(again)) == []
    moved = replace(again, courses={"rule": {"reward": np.array([[1.0 / 3.0 + 1e-12, np.nan, 1e-300]])}})
    assert not kept.same_bits(moved)
    assert list(kept.differences(moved)) == []


def test_what_holds_no_golden_courses_is_refused(new: Callable[[str], Path]) -> None:
    path = new("patient")
    beside = path.with_name("patient_golden.json")
    beside.write_text(json.dumps({"scenario": "Dose-v0"}), encoding="utf-8")
    with pytest.raises(SpecError, match=r"patient_golden\.json cannot be read as golden courses"):
        write_golden(get(path))
    assert golden_path(get("Glucose-v0")) is None
    with pytest.raises(SpecError, match="comes from no file of your own"):
        write_golden(get("Glucose-v0"))
