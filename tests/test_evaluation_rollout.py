"""Does everybody get exactly one episode, with the same luck under every policy, in whatever batches they come?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from stable_baselines3 import PPO

from twingym.envs import RulePolicy, TwinEnv, TwinVectorEnv
from twingym.evaluation import Evaluation, evaluate, flip, tune, verdicts
from twingym.evaluation.courses import CourseMoments, Courses
from twingym.scenarios import get
from twingym.twins.cohort import people
from twingym.twins.errors import CohortError, SpecError

NUDGE = get(Path(__file__).parent / "nudge_scenario.py")
MIRROR = get(Path(__file__).parent / "mirror_scenario.py")
GLUCOSE = get("Glucose-v0")
IDS = people("test", 60)
NAMES = ["twin", "seed"]


class Always:
    """The shortest policy there is: SB3's predict, one action for everybody."""

    def __init__(self, action: Any) -> None:
        self.action = action
        self.met: list[int] = []

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        return np.repeat(np.asarray(self.action)[None], len(observation), axis=0), None


def whole(evaluation: Evaluation) -> Courses:
    assert isinstance(evaluation.courses, Courses)
    return evaluation.courses


# -- one episode each ------------------------------------------------------------------------------------------------


def test_each_person_and_seed_gets_one_row() -> None:
    found = evaluate(Always(0), NUDGE, IDS, seeds=(3, 5), name="quiet")
    assert sorted(zip(found.episodes["twin"], found.episodes["seed"], strict=True)) == [
        (i, s) for i in IDS for s in (3, 5)
    ]
    assert set(found.episodes["policy"]) == {"quiet"}
    assert set(found.episodes["dynamics"]) == {"reference"}
    assert (found.episodes["steps"] == 12).all()
    wanted = {
        "return", "reward_per_step", "cost_contacts", "cost_in_a_row", "event_quits", "exposure", "shielded",
        "disagreement", "terminated", "delivered_contact_text", "delivered_contact_call", "age", "band",
    }  # fmt: skip
    assert wanted <= set(found.episodes)
    assert set(found.episodes["band"]) <= {"young", "middle", "old"}


def test_sums_are_those_of_the_env_by_hand() -> None:
    found = evaluate(Always(1), NUDGE, IDS).episodes.set_index("twin")
    env = TwinVectorEnv(NUDGE, len(IDS), dynamics="reference", autoreset="disabled")
    env.reset(seed=0, options={"twins": IDS})
    returns, contacts, shielded, steps = np.zeros((4, len(IDS)))
    over = np.zeros(len(IDS), bool)
    for _ in range(12):
        _, rewards, terminated, truncated, infos = env.step(np.ones(len(IDS), np.int64))
        returns[~over] += rewards[~over]
        contacts[~over] += infos["cost_contacts"][~over]
        shielded[~over] += infos["shielded"][~over]
        steps[~over] += 1
        over |= terminated | truncated
    rows = found.loc[IDS]
    np.testing.assert_array_equal(rows["return"], returns)
    np.testing.assert_array_equal(rows["cost_contacts"], contacts)
    np.testing.assert_array_equal(rows["shielded"], shielded)
    np.testing.assert_array_equal(rows["steps"], steps)
    assert 0 < (steps < 12).sum() < len(IDS)


def test_who_quits_adds_nothing_more() -> None:
    found = evaluate(Always(2), NUDGE, people("test", 300), courses=True)
    quitters = found.episodes["event_quits"] == 1.0
    assert 5 < quitters.sum() < 295
    assert (found.episodes["steps"] < 12)[quitters].mean() > 0.9
    courses = whole(found)
    for row in np.flatnonzero(quitters)[:20]:
        steps = found.episodes["steps"][row]
        assert np.isfinite(courses.values["mood"][row, : steps + 1]).all()
        assert np.isnan(courses.values["mood"][row, steps + 1 :]).all()
        assert np.isnan(courses.delivered["contact"][row, steps:]).all()
        # The reward is the mood at the end of each step.
        assert found.episodes["return"][row] == pytest.approx(np.nansum(courses.values["mood"][row, 1:]), rel=1e-6)


def test_metrics_may_read_what_only_auditors_see() -> None:
    from twingym.scenarios import Metric

    lucky = replace(NUDGE, metrics=(Metric("luck_seen", "", lambda step: step.after["luck"], how="mean"),))
    found = evaluate(Always(0), lucky, IDS).episodes["luck_seen"]
    assert found.between(0.0, 1.0).all()
    assert found.std() > 0.01


def test_exposure_is_the_share_of_steps_with_an_intervention() -> None:
    quiet, busy = (evaluate(Always(action), NUDGE, IDS).episodes for action in (0, 1))
    assert (quiet["exposure"] == 0.0).all()
    contacts = busy["delivered_contact_text"] + busy["delivered_contact_call"]
    np.testing.assert_allclose(busy["exposure"], contacts / busy["steps"])
    assert busy["exposure"].between(0.3, 1.0).all()  # no two weeks in a row
    off, on = (evaluate(Always([amount]), GLUCOSE, IDS[:9], horizon=30).episodes for amount in (-1.0, 0.0))
    assert (off["exposure"] == 0.0).all()
    assert (on["exposure"] == 1.0).all()


# -- the same people and luck ----------------------------------------------------------------------------------------


def test_two_policies_meet_equal_inputs_and_births() -> None:
    one, other = (
        evaluate(RulePolicy(GLUCOSE, r), GLUCOSE, IDS, horizon=288, courses=True) for r in ("pid", "constant_basal")
    )
    for name in ("carbs", "announced"):
        mine, theirs = whole(one).inputs[name], whole(other).inputs[name]
        both = np.isfinite(mine) & np.isfinite(theirs)
        np.testing.assert_array_equal(mine[both], theirs[both])
        assert both.mean() > 0.95
    np.testing.assert_array_equal(whole(one).values["cgm"][:, 0], whole(other).values["cgm"][:, 0])
    assert not np.array_equal(whole(one).values["cgm"][:, -1], whole(other).values["cgm"][:, -1])
    traits = [v.name for v in GLUCOSE.traits]
    pd.testing.assert_frame_equal(one.episodes[traits], other.episodes[traits])


@pytest.mark.parametrize("batch", [7, 16, 59])
def test_shards_change_no_bit(batch: int) -> None:
    policy = RulePolicy(GLUCOSE, "pid")
    at_once = evaluate(policy, GLUCOSE, IDS, seeds=(0, 1), horizon=60, courses=True)
    in_parts = evaluate(policy, GLUCOSE, IDS, seeds=(0, 1), horizon=60, courses=True, batch=batch)
    pd.testing.assert_frame_equal(
        at_once.episodes.sort_values(NAMES).reset_index(drop=True),
        in_parts.episodes.sort_values(NAMES).reset_index(drop=True),
        check_exact=True,
    )
    for name, series in whole(at_once).channels.items():
        np.testing.assert_array_equal(series, whole(in_parts).channels[name])


def test_order_of_ids_changes_nothing() -> None:
    policy = RulePolicy(NUDGE, "every_other")
    forth, back = (evaluate(policy, NUDGE, ids).episodes.sort_values("twin") for ids in (IDS, IDS[::-1]))
    pd.testing.assert_frame_equal(forth.reset_index(drop=True), back.reset_index(drop=True), check_exact=True)


def test_other_seeds_and_episodes_are_other_luck() -> None:
    policy = RulePolicy(NUDGE, "every_other")
    first = evaluate(policy, NUDGE, IDS)
    pd.testing.assert_frame_equal(first.episodes, evaluate(policy, NUDGE, IDS).episodes)
    for other in (evaluate(policy, NUDGE, IDS, seeds=(1,)), evaluate(policy, NUDGE, IDS, episode=1)):
        assert (other.episodes["age"] == first.episodes["age"]).all()
        assert (other.episodes["return"] != first.episodes["return"]).mean() > 0.9


# -- policies of every kind ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", [GLUCOSE, NUDGE], ids=lambda s: s.id)
def test_stable_baselines_policies_and_rules_are_treated_alike(scenario: Any) -> None:
    torch.set_num_threads(1)
    env = TwinEnv(scenario, dynamics="reference")
    model = PPO("MlpPolicy", env, n_steps=8, batch_size=8, device="cpu", seed=0)
    trained = evaluate(model, scenario, IDS[:12], horizon=10)
    rule = evaluate(RulePolicy(scenario, scenario.baseline), scenario, IDS[:12], horizon=10)
    assert list(trained.episodes) == list(rule.episodes)
    assert trained.policy == "PPO"
    assert len(trained.episodes) == 12
    assert verdicts(trained)["n"].tolist() == [12] * len(scenario.constraints)


def test_a_policy_meets_its_cohort_and_keeps_its_memory() -> None:
    class Curious(Always):
        def meet(self, cohort: Any) -> None:
            self.met = cohort.ids.tolist()

    policy = Curious(0)
    evaluate(policy, NUDGE, IDS, batch=45)
    assert len(policy.met) == 30  # two shards of 30
    courses = whole(evaluate(RulePolicy(NUDGE, "every_other"), NUDGE, IDS, courses=True))
    contacts = courses.delivered["contact"]
    assert (contacts[:, 0::2][np.isfinite(contacts[:, 0::2])] == 1.0).all()
    assert (contacts[:, 1::2][np.isfinite(contacts[:, 1::2])] == 0.0).all()


# -- courses ---------------------------------------------------------------------------------------------------------


def test_moments_are_those_of_the_whole_courses() -> None:
    policy = RulePolicy(GLUCOSE, "basal_bolus")
    courses = whole(evaluate(policy, GLUCOSE, IDS, horizon=100, courses=True))
    found = evaluate(policy, GLUCOSE, IDS, horizon=100, courses="moments", batch=25)
    moments = found.courses
    assert isinstance(moments, CourseMoments)
    cgm = courses.values["cgm"].astype(float)
    np.testing.assert_allclose(moments.mean["cgm"][0], np.nanmean(cgm, axis=0), rtol=1e-6)
    np.testing.assert_allclose(moments.sd["cgm"][0], np.nanstd(cgm, axis=0), rtol=1e-3)
    exact = np.nanquantile(cgm, [0.1, 0.5, 0.9], axis=0)
    assert np.abs(moments.quantiles["cgm"][:, 0] - exact).mean() < 6.0  # a hundredth of the sensor's range
    groups = moments.groups.set_index(["trait", "group"])["n"]
    assert groups["all", "all"] == 60
    heavy = found.episodes["weight_band"] == "heavy"
    assert groups["weight_band", "heavy"] == heavy.sum()
    place = list(groups.index).index(("weight_band", "heavy"))
    np.testing.assert_allclose(moments.mean["cgm"][place], np.nanmean(cgm[heavy], axis=0), rtol=1e-6)


def test_the_worst_cases_are_kept_whole() -> None:
    policy = RulePolicy(GLUCOSE, "basal_bolus")
    found = evaluate(policy, GLUCOSE, IDS, horizon=288, courses="moments", batch=25)
    courses = found.courses
    assert isinstance(courses, CourseMoments)
    worst = found.episodes.sort_values("cost_below_70", ascending=False, kind="stable")
    costs = found.episodes.set_index("twin")["cost_below_70"]
    assert costs[courses.worst.who["twin"]].tolist() == worst["cost_below_70"].head(5).tolist()
    for row, twin in enumerate(courses.worst.who["twin"]):
        low = courses.worst.values["cgm"][row, 1:] < 70.0
        assert low.sum() == costs[twin]


def test_a_course_is_found_by_person() -> None:
    courses = whole(evaluate(Always(0), NUDGE, IDS, seeds=(4, 2), courses=True))
    row = courses.row(int(IDS[5]), 2)
    assert courses.who.iloc[row].to_dict() == {"seed": 2, "twin": IDS[5]}
    with pytest.raises(CohortError, match="no course"):
        courses.row(999_999)


# -- gain, flips, tuning ---------------------------------------------------------------------------------------------


def test_gain_is_beyond_the_baseline_person_by_person() -> None:
    base = evaluate(RulePolicy(NUDGE, "every_other"), NUDGE, IDS)
    same = evaluate(
        RulePolicy(NUDGE, "every_other"), NUDGE, IDS, baseline_episodes=base.episodes.sample(frac=1.0, random_state=0)
    )
    assert (same.episodes["gain"] == 0.0).all()
    quiet = evaluate(Always(0), NUDGE, IDS, baseline_episodes=base.episodes)
    np.testing.assert_array_equal(quiet.episodes["gain"], quiet.episodes["return"] - base.episodes["return"])
    with pytest.raises(CohortError, match="lack twin"):
        evaluate(Always(0), NUDGE, IDS, baseline_episodes=base.episodes.iloc[1:])


def test_flipping_what_nobody_reads_does_exactly_nothing() -> None:
    row = flip(RulePolicy(MIRROR, "match"), MIRROR, IDS, trait="half").iloc[0]
    assert (row["from"], row["to"], row["n"]) == ("left", "right", 60)
    assert (row["difference"], row["low"], row["high"], row["action_disagreement"]) == (0.0, 0.0, 0.0, 0.0)


def test_flipping_what_matters_is_found_and_is_paired() -> None:
    policy = RulePolicy(GLUCOSE, "basal_bolus")
    row = flip(policy, GLUCOSE, IDS, trait="weight", values=(60.0, 100.0), horizon=288).iloc[0]
    light, heavy = (evaluate(policy, GLUCOSE, IDS, horizon=288, fixed={"weight": kg}).episodes for kg in (60.0, 100.0))
    assert row["difference"] == pytest.approx((heavy["return"] - light["return"]).mean())
    assert row["low"] < row["difference"] < row["high"]
    assert 0.0 <= row["action_disagreement"] < 1.0


def test_a_trait_that_people_do_not_let_be_imposed_cannot_be_flipped() -> None:
    with pytest.raises(CohortError, match="cannot be imposed"):
        flip(Always(0), NUDGE, IDS, trait="band")
    with pytest.raises(SpecError, match="at least two"):
        flip(Always(0), NUDGE, IDS, trait="age")


def grid_rule() -> Any:
    """Return a Nudge rule that contacts everybody, with levels worth trying."""
    return replace(NUDGE.rule("always"), grid={"level": (0.0, 1.0, 2.0)})


def by_hand(limit: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    runs = {g: evaluate(Always(g), NUDGE, IDS, episode=1).episodes.set_index("twin") for g in (0, 1, 2)}
    rewards = pd.DataFrame({g: run["reward_per_step"] for g, run in runs.items()})
    return rewards, pd.DataFrame({g: run["cost_contacts"] for g, run in runs.items()})


@pytest.mark.parametrize("limit", [6.0, 3.0])
def test_tuning_finds_the_best_setting_that_keeps_the_limit(limit: float) -> None:
    scenario = replace(NUDGE, constraints=(replace(NUDGE.primary, limit=limit), *NUDGE.constraints[1:]))
    rewards, costs = by_hand(limit)
    allowed = rewards.mean()[costs.mean() <= limit]
    assert tune(scenario, grid_rule(), IDS, batch=50).rule.settings["level"] == allowed.idxmax()


def test_tuning_each_person_looks_their_setting_up_when_they_are_met() -> None:
    rewards, costs = by_hand(6.0)
    policy = tune(NUDGE, replace(grid_rule(), per_person=True), IDS, batch=50)
    wanted = rewards.where(costs <= 6.0).idxmax(axis=1)
    assert wanted.nunique() > 1
    courses = whole(evaluate(policy, NUDGE, IDS[::-1], courses=True, batch=23))
    first = pd.Series(courses.delivered["contact"][:, 0], index=courses.who["twin"])
    assert first[wanted.index].tolist() == wanted.tolist()
    with pytest.raises(CohortError, match="tune it"):
        evaluate(policy, NUDGE, people("test", 61))


def test_a_rule_with_own_settings_is_refused_until_they_are_found() -> None:
    with pytest.raises(SpecError, match=r"basal_bolus_tuned.*tune\(scenario"):
        RulePolicy(GLUCOSE, "basal_bolus_tuned")
    found = tune(GLUCOSE, "basal_bolus_tuned", IDS[:3], horizon=12)
    assert found.name == "basal_bolus_tuned"
    alike = tune(GLUCOSE, "basal_bolus_tuned", IDS[:3], horizon=12, per_person=False)
    assert isinstance(alike.rule.settings["carb_factor"], float)


def test_tuning_sees_other_days_than_the_judged_ones() -> None:
    seen = []

    def spy(cohort: Any, seed: int, episode: Any, steps: int) -> Any:
        assert GLUCOSE.draw_inputs is not None
        seen.append(set(np.unique(episode).tolist()))
        return GLUCOSE.draw_inputs(cohort, seed, episode, steps)

    tune(replace(GLUCOSE, draw_inputs=spy), "basal_bolus", IDS[:4], horizon=12)
    assert seen
    assert all(0 not in numbers for numbers in seen)


def test_a_rule_without_a_grid_cannot_be_tuned() -> None:
    with pytest.raises(SpecError, match="grid"):
        tune(NUDGE, "every_other", IDS)


# -- asking wrongly, and time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "error", "match"),
    [
        ({"ids": [3, 3]}, CohortError, "twice"),
        ({"ids": []}, CohortError, "ids"),
        ({"horizon": 0}, SpecError, "horizon"),
        ({"seeds": ()}, SpecError, "seeds"),
        ({"batch": 0}, SpecError, "batch"),
    ],
)
def test_impossible_requests_are_refused(asked: Mapping[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        evaluate(Always(0), NUDGE, **{"ids": IDS, **asked})


def test_settings_tell_what_was_asked(capsys: pytest.CaptureFixture[str]) -> None:
    found = evaluate(Always(0), NUDGE, IDS, seeds=(1, 2), name="quiet", progress=True)
    settings = found.settings
    assert settings["scenario"] == "Nudge-v0"
    assert settings["limits_hash"] == NUDGE.limits_hash()
    assert settings["seeds"] == [1, 2]
    assert settings["horizon"] == NUDGE.judged_horizon
    assert "numpy" in settings["versions"]
    assert "quiet" in capsys.readouterr().out


def test_two_weeks_of_500_people_take_well_under_half_a_minute() -> None:
    policy, ids = RulePolicy(GLUCOSE, "basal_bolus"), people("test", 500)
    evaluate(policy, GLUCOSE, ids, horizon=2)
    started = time.process_time()
    evaluate(policy, GLUCOSE, ids, horizon=288)
    assert 14.0 * (time.process_time() - started) < 30.0
