"""Are declarations refused that contradict themselves, and do scales, interventions, noise and people obey theirs?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from twingym.envs.dynamics import resolve
from twingym.scenarios import Constraint, Intervention, Rule, Variable, get, load, names, register
from twingym.scenarios.constraint import Enforce
from twingym.scenarios.fingerprint import fingerprint_of
from twingym.scenarios.metric import Metric
from twingym.scenarios.scenario import Scenario
from twingym.scenarios.step import Step, Values
from twingym.twins.cohort import Cohort, people, split_of
from twingym.twins.errors import CohortError, SpecError, UnknownNameError, WeightsError
from twingym.twins.fit_config import FitConfig
from twingym.twins.noise import Stream, philox, uniforms, uniforms_torch
from twingym.twins.scales import Floats, Scale
from twingym.twins.transformer_config import TransformerConfig

GLUCOSE, RETENTION = get("Glucose-v0"), get("Retention-v0")
TUTORIAL = Path(__file__).parent / "nudge_scenario.py"
MY_SCENARIO = Path(__file__).parents[1] / "docs" / "my_scenario.py"


def no_cost(step: Step) -> Floats:
    return step.before["cgm"] * 0.0


def as_is(now: Values, amounts: Values) -> Values:
    return amounts


# -- variables ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "field"),
    [
        ({"name": "blood sugar"}, "name"),
        ({"kind": "real"}, "kind"),
        ({"scale": "sqrt"}, "scale"),
        ({"audience": "public"}, "audience"),
        ({"low": 5.0, "high": 5.0}, "low, high"),
        ({"high": float("inf")}, "low, high"),
        ({"low": float("nan")}, "low, high"),
        ({"kind": "binary", "high": 2.0}, "low, high"),
        ({"kind": "event", "high": 3.0}, "low, high"),
        ({"kind": "count", "high": 64.0}, "high"),
        ({"kind": "categorical"}, "levels"),
        ({"kind": "categorical", "levels": ("only",)}, "levels"),
        ({"kind": "categorical", "levels": ("same", "same")}, "levels"),
        ({"kind": "count", "low": 0.5, "high": 3.2}, "low, high"),
        ({"kind": "count", "scale": "log", "low": 1.0, "high": 5.0}, "scale"),
        ({"scale": "log", "low": -5.0, "high": 5.0, "knee": 1.0}, "low"),
        ({"levels": ("a", "b")}, "levels"),
        ({"scale": "log"}, "knee"),
        ({"scale": "log", "knee": -1.0}, "knee"),
        ({"change": 0.0}, "change"),
        ({"absorbing": True}, "absorbing"),
    ],
)
def test_a_variable_that_contradicts_itself_is_refused_by_field(declared: dict[str, object], field: str) -> None:
    with pytest.raises(SpecError, match=rf"variable '.*': {field} is .*; allowed: "):
        Variable(**{"name": "x", "unit": "g", **declared})


SCALES = [
    Scale("linear", -3.0, 7.0),
    Scale("log", 39.0, 600.0, knee=39.0),
    Scale("log", 0.0, 5000.0, knee=10.0),
    Scale("logit", 0.0, 1.0),
]


@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_scales_go_there_and_back(scale: Scale) -> None:
    unit = np.linspace(-1.0, 1.0, 1001)
    np.testing.assert_allclose(scale.to_unit(scale.from_unit(unit)), unit, atol=1e-9)
    physical = scale.from_unit(unit)
    np.testing.assert_allclose(scale.from_unit(scale.to_unit(physical)), physical, rtol=1e-9, atol=1e-9)
    assert (np.diff(physical) > 0.0).all()


@pytest.mark.parametrize("scale", [*SCALES, Scale("logit", 0.0, 100.0)], ids=str)
def test_scales_reach_their_bounds_and_clip_beyond(scale: Scale) -> None:
    low, high = scale.low, scale.high
    beyond = np.array([low - 100.0, low, high, high + 100.0])
    np.testing.assert_allclose(scale.to_unit(beyond), [-1.0, -1.0, 1.0, 1.0])
    np.testing.assert_allclose(scale.from_unit(np.array([-2.0, -1.0, 1.0, 2.0])), [low, low, high, high])
    np.testing.assert_allclose(scale.from_unit(scale.to_unit(beyond)), [low, low, high, high])


def test_the_shifted_logarithm_is_the_plain_one_where_the_knee_is_the_low_bound() -> None:
    scale = Scale("log", 40.0, 400.0, knee=40.0)
    plain = 2.0 * np.log(np.array([40.0, 126.49110640673517, 400.0]) / 40.0) / np.log(10.0) - 1.0
    np.testing.assert_allclose(scale.to_unit(np.array([40.0, 126.49110640673517, 400.0])), plain, atol=1e-12)


def test_variables_know_their_kind() -> None:
    spend = RETENTION.variable("spend")
    assert spend.has_zero_atom
    assert not GLUCOSE.variable("cgm").has_zero_atom
    assert not replace(spend, low=1.0, amount_of="").has_zero_atom
    assert RETENTION.variable("purchases").level_count == 13
    assert RETENTION.variable("acquired_via").level_count == 3
    assert RETENTION.variable("acquired_via").high == 2.0
    assert GLUCOSE.variable("cgm").unit_change == pytest.approx(2.0 * 8.0 / 561.0)
    assert GLUCOSE.variable("cgm").label() == "cgm (mg/dL)"


def test_readers_see_no_more_than_they_may() -> None:
    for audience, readers in (("policy", "pta"), ("twin", "ta"), ("auditor", "a")):
        variable = Variable("x", audience=audience)
        seen = [variable.seen_by(reader) for reader in ("policy", "twin", "auditor")]
        assert seen == [letter in readers for letter in "pta"]


# -- interventions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "field"),
    [
        ({"name": "rapid insulin"}, "name"),
        ({"levels": ("none",)}, "levels"),
        ({"levels": ("none", "none")}, "levels"),
        ({"high": float("inf")}, "low, high"),
        ({"scale": "sqrt"}, "scale"),
        ({"scale": "log", "knee": -1.0}, "knee"),
        ({"ceiling": 1.0}, "ceiling"),
        ({"per_person": "basal", "ceiling": -3.0}, "ceiling"),
        ({"low": -1.0}, "low, high"),
        ({"low": 2.0, "high": 1.0}, "low, high"),
        ({"scale": "log"}, "knee"),
        ({"per_person": "basal"}, "ceiling"),
    ],
)
def test_an_intervention_that_contradicts_itself_is_refused_by_field(declared: dict[str, object], field: str) -> None:
    with pytest.raises(SpecError, match=f"intervention '.*': {field} is .*; allowed: "):
        Intervention(**{"name": "dose", "unit": "U", **declared})


def test_a_policy_number_becomes_a_personal_amount_and_back() -> None:
    insulin, basal = GLUCOSE.interventions[0], {"basal": np.array([0.5, 1.0, 8.0])}
    np.testing.assert_array_equal(insulin.deliver(np.full(3, -1.0), basal), 0.0)
    np.testing.assert_allclose(insulin.deliver(np.ones(3), basal), [64.0, 128.0, 400.0])  # the ceiling binds last
    unit = np.array([-0.9, 0.0, 0.7])
    np.testing.assert_allclose(insulin.undo(insulin.deliver(unit, basal), basal), unit, atol=1e-12)
    np.testing.assert_allclose(insulin.deliver(insulin.undo(basal["basal"], basal), basal), basal["basal"])


def test_a_level_is_delivered_as_its_number() -> None:
    contact = RETENTION.interventions[0]
    assert contact.categorical
    assert contact.most == 3.0
    np.testing.assert_array_equal(contact.deliver(np.array([0, 3]), {}), [0.0, 3.0])
    np.testing.assert_array_equal(contact.undo(np.array([0.0, 3.0]), {}), [0.0, 3.0])


# -- constraints and scenarios -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "field"),
    [
        ({"name": "too low"}, "name"),
        ({"kind": "mean"}, "kind"),
        ({"cost": None}, "cost"),
        ({"kind": "group_gap"}, "cost"),
        ({"kind": "group_gap", "cost": None}, "trait"),
        ({"kind": "group_gap", "cost": None, "trait": "weight_band"}, "metric"),
        ({"hard": True, "limit": 0.0}, "enforce"),
        ({"enforce": as_is}, "enforce"),
        ({"kind": "cvar", "risk": 1.0}, "risk"),
        ({"kind": "chance", "risk": 0.0}, "risk"),
        ({"limit": -0.1}, "limit"),
        ({"limit": float("nan")}, "limit"),
        ({"limit": float("inf")}, "limit"),
        ({"source": ""}, "source"),
        ({"trait": "weight_band"}, "trait"),
        ({"hard": True, "enforce": as_is}, "hard"),  # the limit is .1
    ],
)
def test_a_constraint_that_contradicts_itself_is_refused_by_field(declared: dict[str, object], field: str) -> None:
    with pytest.raises(SpecError, match=rf"constraint '.*': {field} is "):
        Constraint(**{"name": "lows", "cost": no_cost, "limit": 0.1, **declared})


GAP = next(c for c in GLUCOSE.constraints if c.kind == "group_gap")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"id": "Glucose"}, "id"),
        ({"id": "glu cose-v1"}, "id"),
        ({"id": "Glucose-vx"}, "id"),
        ({"dt": 0.0}, "dt"),
        ({"dt": float("nan")}, "dt"),
        ({"kind": "pet"}, "kind"),
        ({"horizon": 0}, "horizon"),
        ({"horizon": 2.5}, "horizon"),
        ({"window": 0}, "window"),
        ({"people": None}, "people"),
        ({"reward": None}, "reward"),
        ({"band": {"glucose_level": (70.0, 180.0)}}, "band"),
        ({"band": {"cgm": (180.0, 70.0)}}, r"band\[cgm\]"),
        ({"inputs": (*GLUCOSE.inputs, Variable("dead", kind="event"))}, "inputs"),
        ({"traits": (*GLUCOSE.traits, Variable("dead", kind="event"))}, "traits"),
        ({"groups": ("weight_band", "weight_band", "sensitivity_band")}, "groups"),
        ({"metrics": (*GLUCOSE.metrics, GLUCOSE.metrics[0])}, "constraints or metrics"),
        ({"metrics": (*GLUCOSE.metrics, Metric("below_70", "", no_cost))}, "constraints or metrics"),
        ({"metrics": (*GLUCOSE.metrics, Metric("return", "", no_cost))}, "constraints or metrics"),
        ({"metrics": (*GLUCOSE.metrics, Metric("x", "", no_cost, how="median"))}, r"metrics\[x\]"),
        ({"parameters": Scale("linear", 0.0, 1.0)}, "rebuild"),
        ({"parameters": Scale("linear", 0.0, 1.0), "rebuild": lambda p: GLUCOSE}, "provenance"),
        ({"behaviour": {"pid": -1.0, "basal_bolus": 3.0}}, r"behaviour\[pid\]"),
        ({"fidelity": replace(GLUCOSE.fidelity, variable="sugar")}, "fidelity.variable"),
        ({"fidelity": replace(GLUCOSE.fidelity, metric="luck")}, "fidelity.metric"),
        ({"fidelity": replace(GLUCOSE.fidelity, drift="guess")}, "fidelity.drift"),
        ({"fidelity": replace(GLUCOSE.fidelity, policies={"x": ("guess", {})})}, r"fidelity.policies\[x\]"),
        ({"fidelity": replace(GLUCOSE.fidelity, policies={"x": ("pid", {"kq": 1.0})})}, "fidelity.policies"),
        ({"judged_horizon": -1}, "judged_horizon"),
        ({"ending": "never"}, "ending"),
        ({"variables": ()}, "variables"),
        ({"variables": (*GLUCOSE.variables, Variable("weight"))}, "variables"),
        ({"interventions": ()}, "interventions"),
        ({"interventions": (Intervention("dose", per_person="height", ceiling=1.0),)}, r"interventions\[dose\]"),
        ({"interventions": (Intervention("dose", per_person="weight_band", ceiling=1.0),)}, r"interventions\[dose\]"),
        ({"interventions": (*GLUCOSE.interventions, Intervention("a", levels=("x", "y")))}, "interventions"),
        ({"bookkeeping": None}, "bookkeeping"),
        ({"derived": ()}, "bookkeeping"),
        ({"draw_inputs": None}, "draw_inputs"),
        ({"inputs": GLUCOSE.inputs[1:]}, "guess_inputs"),  # nothing is hidden
        ({"benefit": None}, "benefit"),
        ({"groups": ("weight",)}, "groups"),
        ({"groups": ("sex",)}, "groups"),
        ({"constraints": (*GLUCOSE.constraints, GLUCOSE.constraints[1])}, "constraints"),
        ({"constraints": GLUCOSE.constraints[1:]}, "constraints"),
        ({"constraints": tuple(replace(c, primary=True) for c in GLUCOSE.constraints)}, "constraints"),
        ({"constraints": tuple(c for c in GLUCOSE.constraints if c.kind != "group_gap")}, "constraints"),
        ({"constraints": (*GLUCOSE.constraints, replace(GAP, name="g", trait="weight"))}, r"constraints\[g\].trait"),
        ({"constraints": (*GLUCOSE.constraints, replace(GAP, name="g", metric="x"))}, r"constraints\[g\].metric"),
        ({"constraints": (*GLUCOSE.constraints, replace(GAP, name="g", metric=GAP.name))}, r"constraints\[g\].metric"),
        ({"baseline": "guess"}, "baseline"),
        ({"behaviour": {"guess": 1.0}}, "behaviour"),
        ({"behaviour": {"pid": 0.0}}, "behaviour"),
    ],
)
def test_a_scenario_that_contradicts_itself_is_refused_by_field(changed: dict[str, object], field: str) -> None:
    with pytest.raises(SpecError, match=rf"scenario '.*': {field}.* is .*; allowed: "):
        replace(GLUCOSE, **changed)  # type: ignore[arg-type]


def test_a_hard_constraint_needs_a_way_to_enforce_it() -> None:
    enforce: Enforce = as_is
    assert Constraint("cap", no_cost, 0.0, hard=True, enforce=enforce).hard


@pytest.mark.parametrize("scenario", [GLUCOSE, RETENTION], ids=lambda s: s.id)
def test_what_is_declared_can_be_looked_up(scenario: Scenario) -> None:
    assert scenario.env_id == f"twingym/{scenario.id}"
    assert scenario.primary.name in [c.name for c in scenario.costs]
    assert all(c.kind != "group_gap" for c in scenario.costs)
    assert set(scenario.group_levels) == set(scenario.groups)
    assert {c.trait for c in scenario.constraints if c.kind == "group_gap"} == set(scenario.groups)
    first = next(scenario.every_variable()).name
    with pytest.raises(UnknownNameError, match=f"Did you mean '{first}'"):
        scenario.variable(first + "s")
    rule = next(iter(scenario.rules))
    with pytest.raises(UnknownNameError, match=f"Did you mean '{rule}'"):
        scenario.rule(rule + "x")


@pytest.mark.parametrize("scenario", [GLUCOSE, RETENTION], ids=lambda s: s.id)
def test_every_limit_says_who_set_it_and_every_variable_what_it_is(scenario: Scenario) -> None:
    assert all(c.source for c in scenario.constraints)
    assert all(v.about or v.label() for v in scenario.every_variable())
    assert scenario.sources


def test_a_rule_refuses_settings_that_it_lacks() -> None:
    rule = GLUCOSE.rule("basal_bolus")
    assert rule.with_settings(target=120.0).settings["target"] == 120.0
    assert rule.settings["target"] == 140.0
    with pytest.raises(UnknownNameError, match="Did you mean 'carb_factor'"):
        rule.with_settings(carbs_factor=1.0)
    assert isinstance(rule, Rule)


def test_values_name_the_nearest_and_say_what_is_hidden() -> None:
    values = Values(cgm=np.ones(2))
    with pytest.raises(UnknownNameError, match=r"Did you mean 'cgm'.*Auditor variables are hidden"):
        values["cgms"]


def test_the_fingerprint_follows_what_is_done_and_the_limits_hash_the_limits() -> None:
    prose = replace(GLUCOSE, about="Other words.", title="Another title.", band={})
    assert prose.fingerprint() == GLUCOSE.fingerprint()
    fitted_otherwise = replace(GLUCOSE, network=TransformerConfig(width=8), fit=FitConfig(epochs=1))
    assert fitted_otherwise.fingerprint() == GLUCOSE.fingerprint()
    assert replace(GLUCOSE, guess_inputs=None).fingerprint() == GLUCOSE.fingerprint()
    longer = replace(GLUCOSE, horizon=12)
    assert longer.fingerprint() != GLUCOSE.fingerprint()
    assert longer.limits_hash() == GLUCOSE.limits_hash()
    stricter = replace(GLUCOSE.constraints[0], limit=0.01)
    changed = replace(GLUCOSE, constraints=(stricter, *GLUCOSE.constraints[1:]))
    assert changed.limits_hash() != GLUCOSE.limits_hash()
    measured = replace(GLUCOSE, metrics=(*GLUCOSE.metrics, Metric("steps", "", lambda step: step.after["cgm"])))
    assert measured.fingerprint() != GLUCOSE.fingerprint()


def test_the_order_in_which_python_keeps_a_set_is_not_declared() -> None:
    first, second = frozenset([0, 8]), frozenset([8, 0])
    assert list(first) != list(second)
    assert fingerprint_of(first) == fingerprint_of(second) != fingerprint_of(frozenset([0, 7]))


@pytest.mark.parametrize(
    ("written", "instead", "changed"),
    [
        ("exp(-4.0 * clearance", "exp(-8.0 * clearance", {"scenario", "world"}),
        ("numbers[:, 0] + 0.3", "numbers[:, 0] + 0.4", {"scenario", "world"}),
        ('["level"] > 20', '["level"] > 40', {"scenario", "limits"}),
        ("1.0 - np.abs", "2.0 - np.abs", {"scenario"}),
        ("(10.0 / now", "(11.0 / now", {"scenario"}),
        ("Move four hours", "Go four hours", set()),
        ("  # the laboratory errs by a tenth", "", set()),
    ],
)
@pytest.mark.usefixtures("own_registry")
def test_an_edit_of_ones_own_file_changes_the_hashes_of_what_it_concerns(
    tmp_path: Path, written: str, instead: str, changed: set[str]
) -> None:
    text = MY_SCENARIO.read_text(encoding="utf-8").replace("Theophylline-v0", "Edited-v0")
    assert written in text
    hashes = []
    mine_path = tmp_path / "mine.py"
    for words in (text, text.replace(written, instead)):
        mine_path.write_text(words, encoding="utf-8")
        mine = load(mine_path)
        hashes.append({"scenario": mine.fingerprint(), "world": mine.world_fingerprint(), "limits": mine.limits_hash()})
    assert {key for key in hashes[0] if hashes[0][key] != hashes[1][key]} == changed


def test_what_a_function_closes_over_is_part_of_it() -> None:
    def above(limit: float) -> Callable[[Step], Floats]:
        return lambda step: (step.after["cgm"] > limit).astype(float)

    def measured(cost: Callable[[Step], Floats]) -> str:
        return replace(GLUCOSE, metrics=(*GLUCOSE.metrics, Metric("high", "", cost))).fingerprint()

    assert measured(above(180.0)) == measured(above(180.0))
    assert measured(above(180.0)) != measured(above(250.0))
    assert measured(partial(np.multiply, 2.0)) != measured(partial(np.multiply, 3.0))


# -- variants and the registry -----------------------------------------------------------------------------------------


def test_constants_can_be_varied_by_name() -> None:
    bolder = RETENTION.vary(uplift_email=0.5, disparity=0.0)
    assert (bolder.parameters.uplift_email, bolder.parameters.disparity) == (0.5, 0.0)
    assert RETENTION.parameters.uplift_email == 0.3
    assert bolder.fingerprint() != RETENTION.fingerprint()
    assert bolder.limits_hash() == RETENTION.limits_hash()
    assert get("Retention-v0", uplift_email=0.5, disparity=0.0).fingerprint() == bolder.fingerprint()
    assert RETENTION.vary() is RETENTION
    with pytest.raises(UnknownNameError, match="Did you mean 'uplift_email'"):
        RETENTION.vary(uplift_mail=0.5)
    with pytest.raises(SpecError, match="parameters is None"):
        GLUCOSE.vary(dt=1.0)
    for wrong in ("much", float("nan"), None):
        with pytest.raises(SpecError, match=r"'call_cost' is .*; allowed: a finite number of dollars"):
            RETENTION.vary(call_cost=wrong)


def test_a_twin_model_outlives_prices_but_not_another_world() -> None:
    dearer, bolder = RETENTION.vary(call_cost=5.0), RETENTION.vary(uplift_call=0.5)
    assert dearer.fingerprint() != RETENTION.fingerprint()
    assert resolve(dearer, "transformer").noise_width == resolve(RETENTION, "transformer").noise_width
    with pytest.raises(WeightsError):
        resolve(bolder, "transformer")


def test_scenarios_are_found_by_id() -> None:
    assert {"Glucose-v0", "Retention-v0"} <= set(names())
    assert get("twingym/Glucose-v0") is GLUCOSE
    with pytest.raises(UnknownNameError, match=r"Did you mean 'Glucose-v0'.*path of its file"):
        get("Glucos-v0")


def test_one_file_is_one_scenario() -> None:
    mine = get(TUTORIAL)
    assert get(mine.id) is mine or get(mine.id).fingerprint() == mine.fingerprint()
    assert load(TUTORIAL).fingerprint() == mine.fingerprint()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "does not exist"),
        ("x = 1\n", "holds NoneType; allowed: a module-level SCENARIO"),
        ("import nothing_of_that_name\n", "fails: ModuleNotFoundError"),
        ("SCENARIO = 1 / 0\n", "fails: ZeroDivisionError"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    before = names()
    with pytest.raises(SpecError, match=rf"mine\.py.*{message}"):
        get(path)
    assert names() == before


def test_an_id_belongs_to_one_content() -> None:
    other = replace(GLUCOSE, horizon=12)
    with pytest.raises(SpecError, match="registered already"):
        register(other)
    mine = replace(GLUCOSE, id="SpecTestOwn-v0")
    assert register(mine) == register(mine) == "SpecTestOwn-v0"
    assert get("SpecTestOwn-v0") is mine
    with pytest.raises(SpecError, match="raise its version"):
        register(replace(mine, horizon=12))
    with pytest.raises(SpecError, match="where is None"):
        register("SpecTestElsewhere-v0")


def test_a_registered_place_is_imported_when_asked_for() -> None:
    register("SpecTestBroken-v0", "twingym.scenarios.nowhere:SCENARIO")
    assert "SpecTestBroken-v0" in names()
    with pytest.raises(SpecError, match=r"SpecTestBroken-v0.*nowhere"):
        get("SpecTestBroken-v0")
    assert get("Glucose-v0") is GLUCOSE


# -- noise -------------------------------------------------------------------------------------------------------------

ONES = 0xFFFFFFFF
# Salmon et al. 2011, known-answer tests of Random123: counter, key, output.
PUBLISHED = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES, ONES, ONES, ONES), (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), PUBLISHED)
def test_philox_gives_the_published_words(
    counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]
) -> None:
    c0, c1, c2, c3 = (np.array([word], dtype=np.uint64) for word in counter)
    assert tuple(int(word[0]) for word in philox((c0, c1, c2, c3), key)) == words


def test_the_first_published_words_are_the_first_uniforms() -> None:
    words = philox(tuple(np.array([w], np.uint64) for w in (int(Stream.PERSON) << 16, 5, 0, 3)), (9, 0))
    wanted = [(int(word[0]) + 0.5) * 2.0**-32 for word in words]
    np.testing.assert_array_equal(uniforms(9, [3], 0, Stream.PERSON, 5, 4)[0], wanted)


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 + 7, 2**64 - 1])
def test_numpy_and_torch_give_the_same_bits(seed: int) -> None:
    twin, episode, step = np.array([0, 1, 2**31 - 1])[:, None], 3, np.array([0, 7, 2**20])
    ours = uniforms(seed, twin, episode, Stream.HEAD, step, 7)
    theirs = uniforms_torch(seed, torch.as_tensor(twin), torch.tensor(episode), Stream.HEAD, torch.as_tensor(step), 7)
    assert ours.shape == (3, 3, 7)
    np.testing.assert_array_equal(ours, theirs.numpy())


def test_noise_is_uniform_and_never_zero_or_one() -> None:
    numbers = uniforms(5, np.arange(20_000), 0, Stream.DYNAMICS, 0, 4)
    assert 0.0 < numbers.min() < numbers.max() < 1.0
    assert np.abs(np.histogram(numbers, 10, (0.0, 1.0))[0] / numbers.size - 0.1).max() < 0.005
    assert np.abs(np.corrcoef(numbers.T) - np.eye(4)).max() < 0.03


def test_every_argument_of_noise_matters_and_nothing_else() -> None:
    base = uniforms(1, [5], 2, Stream.DYNAMICS, 3, 4)
    others = [
        uniforms(2, [5], 2, Stream.DYNAMICS, 3, 4),
        uniforms(1 + 2**32, [5], 2, Stream.DYNAMICS, 3, 4),
        uniforms(1, [6], 2, Stream.DYNAMICS, 3, 4),
        uniforms(1, [5], 3, Stream.DYNAMICS, 3, 4),
        uniforms(1, [5], 2, Stream.SENSOR, 3, 4),
        uniforms(1, [5], 2, Stream.DYNAMICS, 4, 4),
    ]
    assert all((base != other).all() for other in others)
    np.testing.assert_array_equal(uniforms(1, [9, 5, 7], 2, Stream.DYNAMICS, 3, 4)[1], base[0])
    np.testing.assert_array_equal(uniforms(1, [5], 2, Stream.DYNAMICS, 3, 11)[:, :4], base)


# -- people ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([], "non-empty"),
        (3, "shape"),
        ([[1, 2]], "shape"),
        ([0.5], "whole numbers"),
        ([-1], "allowed: 0 to"),
        ([2**31], "allowed: 0 to"),
    ],
)
@pytest.mark.parametrize("scenario", [GLUCOSE, RETENTION], ids=lambda s: s.id)
def test_impossible_ids_are_refused(scenario: Scenario, ids: object, message: str) -> None:
    with pytest.raises(CohortError, match=message):
        scenario.people.sample(ids)


@pytest.mark.parametrize("scenario", [GLUCOSE, RETENTION], ids=lambda s: s.id)
def test_an_id_is_a_person(scenario: Scenario) -> None:
    many, few = scenario.people.sample(np.arange(200)), scenario.people.sample([150, 3, 3])
    for part in ("traits", "hidden"):
        for name, values in getattr(many, part).items():
            np.testing.assert_array_equal(getattr(few, part)[name], values[[150, 3, 3]])
    assert set(many.traits) == {v.name for v in scenario.traits}
    for variable in scenario.traits:
        values = many.traits[variable.name]
        assert (values >= variable.low).all()
        assert (values <= variable.high).all()
        assert len(np.unique(values)) > 1


def test_conditions_are_met() -> None:
    ids = np.arange(100)
    weights = GLUCOSE.people.sample(ids, {"weight": (60.0, 65.0)}).traits["weight"]
    assert ((weights >= 60.0) & (weights <= 65.0)).all()
    bands = GLUCOSE.people.sample(ids, {"weight_band": 2, "sensitivity_band": {0, 1}}).traits
    assert (bands["weight_band"] == 2.0).all()
    assert set(bands["sensitivity_band"]) == {0.0, 1.0}
    free, same = GLUCOSE.people.sample(ids), GLUCOSE.people.sample(ids, {"weight": (0.0, 1000.0)})
    np.testing.assert_array_equal(free.traits["weight"], same.traits["weight"])


def test_impossible_conditions_are_refused() -> None:
    with pytest.raises(CohortError, match=r"nobody fits.*widen the condition"):
        GLUCOSE.people.sample([1, 2], {"weight": (20.0, 30.0)})
    with pytest.raises(UnknownNameError, match="Did you mean 'weight'"):
        GLUCOSE.people.sample([1, 2], {"weigth": 70.0})
    with pytest.raises(UnknownNameError, match="Did you mean 'age_band'"):
        RETENTION.people.sample([1, 2], fixed={"age": 1.0})


def test_cohorts_are_taken_apart_and_put_together() -> None:
    cohort, other = GLUCOSE.people.sample(np.arange(6)), GLUCOSE.people.sample([90, 91])
    rows = np.array([4, 1])
    merged = cohort.put(rows, other)
    np.testing.assert_array_equal(merged.ids, [0, 91, 2, 3, 90, 5])
    back = merged.take(rows)
    np.testing.assert_array_equal(back.hidden["sensitivity"], other.hidden["sensitivity"])
    np.testing.assert_array_equal(cohort.ids, np.arange(6))
    assert isinstance(back, Cohort)
    assert len(back) == 2


def test_splits_are_a_property_of_the_id() -> None:
    splits = split_of(np.arange(20_000))
    shares = {name: (splits == name).mean() for name in ("train", "validation", "test")}
    np.testing.assert_allclose([shares["train"], shares["validation"], shares["test"]], [0.7, 0.1, 0.2], atol=0.01)
    ids = people("test", 500)
    assert len(set(ids)) == 500
    assert set(split_of(ids)) == {"test"}
    np.testing.assert_array_equal(people("test", 20), ids[:20])
    assert people("test", 5, start=int(ids[9]))[0] == ids[9]
    assert not set(ids) & set(people("train", 2000))
    with pytest.raises(UnknownNameError, match="Did you mean 'train'"):
        people("trian", 5)
