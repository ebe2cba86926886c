"""Is Retention the BG/NBD model without contact, and does contact do what is declared, to everybody alike?"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from scipy.special import hyp2f1

from twingym.envs.rule_policy import RulePolicy
from twingym.envs.vector import TwinVectorEnv
from twingym.evaluation import evaluate, flip, verdicts
from twingym.scenarios import Constraint, Scenario, get
from twingym.scenarios.retention.reference import (
    CALL,
    COUPON,
    EMAIL,
    MOST_PURCHASES,
    NONE,
    Constants,
    RetentionReference,
    poisson,
)
from twingym.scenarios.retention.rules import WEEKS, p_alive
from twingym.scenarios.step import Step, Values
from twingym.twins.cohort import Cohort, people
from twingym.twins.errors import UnknownNameError
from twingym.twins.noise import Stream, uniforms

RETENTION = get("Retention-v0")
EQUAL = RETENTION.vary(disparity=0.0)
NAMES = [v.name for v in RETENTION.variables]
PURCHASES, SPEND, CONSENT, VISITS, ALIVE, HABITUATION, DISENGAGEMENT, RATE, PHONE = range(len(NAMES))
# CDNOW's parameters as published, and the same fit with more digits (CLVTools, tests), from which E[X] was printed.
PUBLISHED = {"purchase_shape": 0.243, "purchase_weeks": 4.414, "dropout_a": 0.793, "dropout_b": 2.426}
REFITTED = {"purchase_shape": 0.2425945, "purchase_weeks": 4.4136019, "dropout_a": 0.7929199, "dropout_b": 2.4258881}
CROWD = 100_000

Choose = Callable[[int, np.ndarray], np.ndarray]


@dataclass
class Life:
    """Courses of N people: observations (T + 1, N, V) and contacts (T, N)."""

    cohort: Cohort
    observed: np.ndarray
    contacts: np.ndarray


def live(scenario: Scenario, ids: np.ndarray, contact: int | Choose = NONE, weeks: int = WEEKS, seed: int = 0, **more):
    """Move people through the reference: the same contact every week, or one chosen from (week, observed)."""
    cohort, dynamics, empty = scenario.people.sample(ids, **more), scenario.reference(), np.zeros((len(ids), 0))

    def noise(step: int) -> np.ndarray:
        return uniforms(seed, ids, 0, Stream.DYNAMICS, step, dynamics.noise_width)

    state, observed = dynamics.initial(cohort, empty, noise(0))
    course, contacts = [observed], []
    for week in range(weeks):
        chosen = contact(week, observed) if callable(contact) else np.full(len(ids), float(contact))
        state, observed = dynamics.step(state, chosen[:, None].astype(float), empty, noise(week + 1))
        course.append(observed)
        contacts.append(chosen)
    return Life(cohort, np.array(course), np.array(contacts))


def expected_purchases(weeks: float, constants: dict[str, float]) -> float:
    """E[X(t)] of Fader, Hardie and Lee 2005, equation (9)."""
    r, alpha, a, b = constants.values()
    share = weeks / (alpha + weeks)
    return (a + b - 1) / (a - 1) * (1 - (alpha / (alpha + weeks)) ** r * hyp2f1(r, b, a + b - 1, share))


# -- without contact ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("weeks", "printed"), [(1, 0.0532), (39, 1.195), (78, 1.858)])
def test_the_closed_form_has_the_printed_digits(weeks: int, printed: float) -> None:
    digits = len(str(printed).partition(".")[2])
    assert round(expected_purchases(weeks, REFITTED), digits) == printed
    # With the parameters rounded to three decimals, as shipped, it differs by less than two in a thousand.
    assert expected_purchases(weeks, PUBLISHED) == pytest.approx(printed, rel=2e-3)


def test_the_share_without_repeat_purchase_has_the_printed_digits() -> None:
    assert round((4.414 / (4.414 + 39)) ** 0.243, 7) == 0.5737864
    shipped = RETENTION.parameters
    assert {name: getattr(shipped, name) for name in PUBLISHED} == PUBLISHED
    assert (shipped.spend_shape, shipped.spend_spread, shipped.spend_scale) == (6.25, 3.74, 15.44)


@pytest.mark.parametrize("constants", [PUBLISHED, REFITTED], ids=["published", "refitted"])
def test_without_contact_the_reference_is_bg_nbd(constants: dict[str, float]) -> None:
    scenario, total = RETENTION.vary(**constants), []
    for ids in np.split(np.arange(CROWD), 20):
        observed = live(scenario, ids, weeks=78).observed
        total.append(observed[1:, :, PURCHASES].cumsum(axis=0)[[0, 38, 77]])
        assert (observed[..., CONSENT] == 1.0).all()
        assert (observed[..., DISENGAGEMENT] == 0.1).all()
        np.testing.assert_allclose(observed[78, :, HABITUATION], 0.1 * 0.9**78)
    bought = dict(zip((1, 39, 78), np.concatenate(total, axis=1), strict=True))
    for weeks, purchases in bought.items():
        error = purchases.std() / np.sqrt(CROWD)
        assert abs(purchases.mean() - expected_purchases(weeks, constants)) < 4.0 * error
    nobody = (constants["purchase_weeks"] / (constants["purchase_weeks"] + 39)) ** constants["purchase_shape"]
    assert abs((bought[39] == 0).mean() - nobody) < 4.0 * np.sqrt(nobody * (1 - nobody) / CROWD)
    assert bought[1].max() < MOST_PURCHASES


def test_spend_is_gamma_gamma() -> None:
    count = 40_000
    life = live(RETENTION, np.arange(count), weeks=26)
    mean = 6.25 * 15.44 / (3.74 - 1.0)
    assert pytest.approx(mean) == RETENTION.parameters.mean_spend
    first = life.observed[0, :, SPEND]
    assert (first > 0.0).all()
    assert abs(first.mean() - mean) < 4.0 * first.std() / np.sqrt(count)
    # The median of the closed-form distribution of one purchase: p nu has an F distribution.
    assert np.median(first) == pytest.approx(15.44 * 6.25 / 3.74 * stats.f.ppf(0.5, 2 * 6.25, 2 * 3.74), rel=0.02)
    purchases, spend = life.observed[1:, :, PURCHASES], life.observed[1:, :, SPEND]
    assert (spend[purchases == 0] == 0.0).all()
    for bought in (1, 2):
        each = spend[purchases == bought] / bought
        assert abs(each.mean() - mean) < 4.0 * each.std() / np.sqrt(len(each))


@pytest.mark.parametrize("seed", [0, 1, 987654321])
def test_nobody_who_is_left_alone_feels_the_assumptions(seed: int) -> None:
    ids = np.arange(500)
    shipped = live(RETENTION, ids, seed=seed).observed
    other = RETENTION.vary(
        uplift_email=2.0,
        uplift_call=0.1,
        wrong_channel=1.0,
        habituation_gain=0.5,
        disengagement_gain=0.9,
        disparity=3.0,
    )
    same = [PURCHASES, SPEND, CONSENT, VISITS, ALIVE, HABITUATION, DISENGAGEMENT, RATE]
    np.testing.assert_array_equal(live(other, ids, seed=seed).observed[..., same], shipped[..., same])
    assert not np.array_equal(live(RETENTION, ids, seed=seed + 1).observed, shipped)


def test_poisson_counts_are_the_inverse_cdf() -> None:
    mean = np.repeat(np.geomspace(1e-4, 8.0, 50), 40)
    number = np.tile((np.arange(40) + 0.5) / 40, 50)
    np.testing.assert_array_equal(poisson(mean, number, 30), stats.poisson.ppf(number, mean))
    assert poisson(np.array([50.0]), np.array([0.5]), 12) == 12.0


def test_visits_stop_with_the_customer() -> None:
    life = live(RETENTION, np.arange(20_000))
    began_alive = life.observed[:-1, :, ALIVE]
    visits = life.observed[1:, :, VISITS]
    assert (visits[began_alive == 0.0] == 0.0).all()
    light = life.observed[0, :, RATE] < 0.5
    wanted = 4.0 * (life.observed[0, :, RATE] * began_alive)[:, light].sum()
    assert visits[:, light].sum() == pytest.approx(wanted, rel=0.02)


# -- what contact does -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("contact", "uplift"), [(NONE, 0.0), (EMAIL, 0.3), (COUPON, 0.6), (CALL, 0.8)])
def test_contact_raises_the_rate_as_declared(contact: int, uplift: float) -> None:
    life = live(EQUAL, np.arange(CROWD), contact, weeks=1)
    fits = (life.observed[0, :, PHONE] == 1.0) == (contact == CALL)
    mean = life.cohort.hidden["rate"] * np.exp(uplift * 0.9 * np.where(fits, 1.0, 0.5))
    # Purchases of a week end with the one after which the customer leaves: E = (1 - exp(-p m)) / p.
    wanted = -np.expm1(-life.cohort.hidden["dropout"] * mean) / life.cohort.hidden["dropout"]
    bought = life.observed[1, :, PURCHASES]
    assert abs((bought - wanted).mean()) < 4.0 * (bought - wanted).std() / np.sqrt(CROWD)
    stay = np.exp(-life.cohort.hidden["dropout"] * mean)
    assert abs((life.observed[1, :, ALIVE] - stay).mean()) < 4.0 * np.sqrt((stay * (1 - stay)).mean() / CROWD)
    # With the same luck nobody buys less for having been contacted, by phone or e-mail, unless they leave sooner.
    alone = live(EQUAL, np.arange(CROWD), NONE, weeks=1).observed[1, :, PURCHASES]
    assert (bought >= alone).all()


def test_habituation_and_disengagement_follow_the_published_recursion() -> None:
    kinds = np.array([EMAIL, NONE, CALL, EMAIL, EMAIL, NONE, CALL, COUPON])
    life = live(EQUAL, np.arange(50), lambda week, _: np.full(50, float(kinds[week])), weeks=len(kinds))
    phone = life.observed[0, :, PHONE] == 1.0
    h, d, agrees = np.full(50, 0.1), np.full(50, 0.1), np.ones(50)
    for week, kind in enumerate(kinds):
        h = np.minimum(1.0, h + 0.05) if kind else 0.9 * h
        if kind:
            d = np.where(phone == (kind == CALL), 0.9 * d, np.minimum(1.0, d + 0.4))
        agrees = agrees * (d <= 0.99)
        np.testing.assert_allclose(life.observed[week + 1, :, HABITUATION], h)
        np.testing.assert_allclose(life.observed[week + 1, :, DISENGAGEMENT], d)
        np.testing.assert_array_equal(life.observed[week + 1, :, CONSENT], agrees)
    assert 0 < agrees.sum() < 50


def test_the_third_contact_on_the_wrong_channel_is_the_last() -> None:
    life = live(EQUAL, np.arange(400), EMAIL, weeks=6)
    phone = life.observed[0, :, PHONE] == 1.0
    assert (life.observed[2, :, CONSENT] == 1.0).all()
    assert (life.observed[3:, phone, CONSENT] == 0.0).all()
    assert (life.observed[:, ~phone, CONSENT] == 1.0).all()


def test_the_preferred_channel_can_partly_be_guessed() -> None:
    cohort = EQUAL.people.sample(np.arange(CROWD))
    for origin, wanted in enumerate((0.1, 0.4, 0.9)):
        came = cohort.traits["acquired_via"] == origin
        assert cohort.hidden["phone"][came].mean() == pytest.approx(wanted, abs=0.01)
    shares = np.bincount(cohort.traits["acquired_via"].astype(int)) / CROWD
    np.testing.assert_allclose(shares, [0.6, 0.25, 0.15], atol=0.005)


# -- groups ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trait", ["age_band", "income_band"])
def test_without_disparity_a_flipped_group_changes_nothing(trait: str) -> None:
    ids = np.arange(300)
    courses = [
        live(EQUAL, ids, lambda week, o: (week % 3 + 1) * o[:, CONSENT], fixed={trait: level}).observed
        for level in (0, 1, 2)
    ]
    np.testing.assert_array_equal(courses[0], courses[1])
    np.testing.assert_array_equal(courses[0], courses[2])
    unequal = [
        live(RETENTION, ids, lambda week, o: (week % 3 + 1) * o[:, CONSENT], fixed={trait: level}).observed
        for level in (0, 2)
    ]
    assert not np.array_equal(*unequal)


def test_the_paired_flip_of_evaluations_is_exactly_zero_without_disparity() -> None:
    rule = RulePolicy(EQUAL, "every_k_weeks", {"k": 2.0})
    for trait in EQUAL.groups:
        table = flip(rule, EQUAL, people("test", 150), trait=trait)
        assert (table["difference"] == 0.0).all()
        assert (table["action_disagreement"] == 0.0).all()
    assert (flip(rule, RETENTION, people("test", 150), trait="age_band")["action_disagreement"] > 0.0).any()


def gap(outcome: np.ndarray, group: np.ndarray) -> float:
    return float(np.ptp([outcome[group == level].mean() for level in range(3)]))


def permutation_p(outcome: np.ndarray, group: np.ndarray, times: int = 400) -> float:
    rng = np.random.default_rng(0)
    null = [gap(outcome, rng.permutation(group)) for _ in range(times)]
    return (1 + sum(g >= gap(outcome, group) for g in null)) / (1 + times)


def outcomes(disparity: float, count: int) -> tuple[Cohort, dict[str, np.ndarray]]:
    """What weekly e-mail, with consent, does to this many people."""
    scenario = RETENTION.vary(disparity=disparity)
    life = live(scenario, people("test", count), lambda week, o: EMAIL * o[:, CONSENT])
    margin = 0.3 * life.observed[1:, :, SPEND].sum(axis=0)
    return life.cohort, {
        "opt_out": 1.0 - life.observed[-1, :, CONSENT],
        "contacted": (life.contacts > NONE).mean(axis=0),
        "margin": margin,
        "purchases": life.observed[1:, :, PURCHASES].sum(axis=0),
    }


def test_without_disparity_every_gap_is_within_its_null() -> None:
    cohort, found = outcomes(0.0, 3000)
    for trait in RETENTION.groups:
        for name in ("opt_out", "contacted", "margin", "purchases"):
            assert permutation_p(found[name], cohort.traits[trait]) > 0.01, (trait, name)


def test_gaps_rise_with_the_knob_and_are_detected_at_a_quarter() -> None:
    ages, incomes = [], []
    for disparity in (0.0, 0.25, 0.5, 1.0):
        cohort, found = outcomes(disparity, 3000)
        ages.append(gap(found["opt_out"], cohort.traits["age_band"]))
        incomes.append(gap(found["contacted"], cohort.traits["income_band"]))
        if disparity == 0.25:
            assert permutation_p(found["opt_out"], cohort.traits["age_band"]) < 0.01
            assert permutation_p(found["contacted"], cohort.traits["income_band"]) < 0.01
    assert (np.diff(ages) > 0.02).all()
    assert (np.diff(incomes) > 0.01).all()
    assert ages[2] > 0.2


# -- money, limits, rules ----------------------------------------------------------------------------------------------


def step_of(contact: list[float], spend: float = 50.0, **before: float) -> Step:
    n = len(contact)
    now = {"consent": 1.0, "contacts_3_weeks": 0.0, "recency": 0.0, **before}
    return Step(
        Values({name: np.full(n, value) for name, value in now.items()}),
        Values(contact=np.array(contact)),
        Values(spend=np.full(n, spend), purchases=np.ones(n), consent=np.full(n, 1.0)),
    )


def test_reward_is_margin_less_the_cost_of_contact() -> None:
    reward = RETENTION.reward(step_of([NONE, EMAIL, COUPON, CALL]))
    np.testing.assert_allclose(reward, 15.0 - np.array([0.0, 0.1, 0.1 + 5.0, 3.0]))
    dearer = RETENTION.vary(margin=0.5, call_cost=4.0)
    np.testing.assert_allclose(dearer.reward(step_of([CALL])), [21.0])


def test_costs_say_which_limit_is_touched() -> None:
    cost = {c.name: c.cost for c in RETENTION.costs}
    everything = [NONE, EMAIL, COUPON, CALL]
    np.testing.assert_array_equal(cost["coupon_pressure"](step_of(everything)), [0, 0, 1, 0])
    np.testing.assert_array_equal(cost["contact_cap"](step_of(everything)), 0.0)
    np.testing.assert_array_equal(cost["contact_cap"](step_of(everything, contacts_3_weeks=3.0)), [0, 1, 1, 1])
    np.testing.assert_array_equal(cost["consent_kept"](step_of(everything, consent=0.0)), [0, 1, 1, 1])
    gone = step_of([EMAIL])
    gone = replace(gone, after=Values({**gone.after, "consent": np.zeros(1)}))
    np.testing.assert_array_equal(cost["opt_out"](gone), [1.0])
    np.testing.assert_array_equal(
        cost["opt_out"](replace(gone, before=Values({**gone.before, "consent": np.zeros(1)}))), 0.0
    )


def test_hidden_state_is_out_of_reach_of_reward_and_costs() -> None:
    def peeking(step: Step) -> np.ndarray:
        return 1.0 - step.after["alive"]

    spying = replace(RETENTION, constraints=(*RETENTION.constraints, Constraint("spying", peeking, 0.1)))
    env = TwinVectorEnv(spying, 2, dynamics="reference")
    env.reset(seed=0)
    with pytest.raises(UnknownNameError, match=r"unknown variable 'alive'.*Auditor variables are hidden"):
        env.step(np.zeros(2, int))
    greedy = replace(RETENTION, reward=lambda step: step.before["rate"])
    env = TwinVectorEnv(greedy, 2, dynamics="reference")
    env.reset(seed=0)
    with pytest.raises(UnknownNameError, match="unknown variable 'rate'"):
        env.step(np.zeros(2, int))


def test_hard_limits_hold_whatever_is_asked() -> None:
    env = TwinVectorEnv(RETENTION, 64, dynamics="reference", autoreset="disabled")
    env.reset(seed=0)
    delivered, agreed, shielded, costs = [], [], [], []
    for _ in range(WEEKS):
        agreed.append(env.values()["consent"])
        infos = env.step(np.full(64, COUPON))[-1]
        delivered.append(infos["delivered"][:, 0])
        shielded.append(infos["shielded"])
        costs.append(infos["costs"])
    contacted = np.array(delivered) > NONE
    windows = np.lib.stride_tricks.sliding_window_view(contacted, 4, axis=0).sum(axis=-1)
    assert windows.max() == 3
    assert not contacted[np.array(agreed) == 0.0].any()
    assert (np.array(agreed)[-1] == 0.0).any()
    np.testing.assert_array_equal(np.array(shielded), ~contacted)
    names = [c.name for c in RETENTION.costs]
    for hard in ("contact_cap", "consent_kept"):
        assert (np.array(costs)[..., names.index(hard)] == 0.0).all()


def test_the_database_counts_what_happened() -> None:
    env = TwinVectorEnv(RETENTION, 200, dynamics="reference", autoreset="disabled")
    env.reset(seed=3)
    rng = np.random.default_rng(0)
    observed, contacts = [env.observed.copy()], []
    for week in range(1, 40):
        infos = env.step(rng.integers(0, 4, 200) * (rng.random(200) < 0.4))[-1]
        observed.append(env.observed.copy())
        contacts.append(infos["delivered"][:, 0])
        course, given, now = np.array(observed)[1:], np.array(contacts), env.values()
        bought = course[..., PURCHASES]
        np.testing.assert_array_equal(now["tenure"], week)
        np.testing.assert_array_equal(now["frequency"], bought.sum(axis=0))
        ages = np.arange(1, week + 1)[:, None]
        last = (ages * (bought > 0)).max(axis=0)
        np.testing.assert_array_equal(now["recency"], week - last)
        seen = (ages * ((bought > 0) | (course[..., VISITS] > 0))).max(axis=0)
        np.testing.assert_array_equal(now["weeks_since_visit"], week - seen)
        np.testing.assert_array_equal(now["visits_so_far"], course[..., VISITS].sum(axis=0))
        total = np.array(observed)[..., SPEND].sum(axis=0)
        np.testing.assert_allclose(now["mean_spend"], total / (1 + bought.sum(axis=0)))
        np.testing.assert_array_equal(now["contacts_3_weeks"], (given[-3:] > 0).sum(axis=0))
        touched = (ages * (given > 0)).max(axis=0)
        np.testing.assert_array_equal(now["weeks_since_contact"], np.where(touched > 0, week + 1 - touched, WEEKS))
        np.testing.assert_array_equal(now["calls"], (given == CALL).sum(axis=0))
        np.testing.assert_array_equal(now["messages"], ((given == EMAIL) | (given == COUPON)).sum(axis=0))
        np.testing.assert_allclose(now["contact_load"], ((given > 0) * 0.9 ** (week - ages)).sum(axis=0))
        np.testing.assert_allclose(now["p_alive"], p_alive(bought.sum(axis=0), last, now["tenure"], Constants()))


def test_conclusions_about_customers_left_alone_are_calibrated() -> None:
    env = TwinVectorEnv(RETENTION, 20_000, dynamics="reference", autoreset="disabled", horizon=30)
    env.reset(seed=1)
    for _ in range(25):
        env.step(np.zeros(20_000, int))
    now = env.audit_values()
    alive, rate, repeat = now["alive"], now["rate"], now["frequency"] > 0
    assert (now["p_alive"][~repeat] == 1.0).all()
    for name in ("p_alive", "p_alive_visits"):
        edges = np.quantile(now[name][repeat], [0.0, 0.25, 0.5, 0.75, 1.0])
        for low, high in pairwise(edges):
            told = repeat & (now[name] >= low) & (now[name] <= high)
            error = 4.0 * 0.5 / np.sqrt(told.sum())
            assert abs(alive[told].mean() - now[name][told].mean()) < error, name
    # Who is alive is known better with visits, and so is who buys.
    assert np.mean((alive - now["p_alive_visits"]) ** 2) < 0.8 * np.mean((alive - now["p_alive"]) ** 2)
    next_week = alive * rate
    for low, high in ((0.0, 0.01), (0.01, 0.05), (0.05, 0.2), (0.2, 5.0)):
        guess = now["p_alive_visits"] * now["expected_rate"]
        told = (guess >= low) & (guess < high)
        assert abs(next_week[told].mean() - guess[told].mean()) < 4.0 * next_week[told].std() / np.sqrt(told.sum())


@pytest.fixture(scope="module")
def judged() -> dict[str, dict[str, float]]:
    """Estimate of each limit, the return and the share of steps that were shielded over 2,000 people, by rule."""
    found = {}
    for name in RETENTION.rules:
        evaluation = evaluate(RulePolicy(RETENTION, name), RETENTION, people("test", 2000))
        table = verdicts(evaluation)
        found[name] = dict(zip(table["name"], table["estimate"], strict=True))
        found[name] |= {
            "shielded": evaluation.episodes["shielded"].mean(),
            "return": evaluation.episodes["return"].mean(),
        }
    return found


def test_each_limit_is_broken_by_some_rule_and_all_are_kept_by_one(judged: dict[str, dict[str, float]]) -> None:
    for constraint in RETENTION.constraints:
        if constraint.hard:
            assert max(found[constraint.name] for found in judged.values()) == 0.0
        else:
            assert judged["blanket"][constraint.name] > constraint.limit
        for kind in ("never", "recency"):
            assert judged[kind][constraint.name] <= constraint.limit
    assert judged["blanket"]["shielded"] > 0.2
    assert judged["never"]["shielded"] == 0.0
    assert judged["never"]["opt_out"] == 0.0


def test_rules_earn_what_neslin_says(judged: dict[str, dict[str, float]]) -> None:
    earned = {name: found["return"] for name, found in judged.items()}
    assert earned["blanket"] < earned["every_k_weeks"] < earned["never"]
    assert earned["recency"] > earned["p_alive"]


def test_rules_decide_the_same_from_scaled_observations() -> None:
    for name in RETENTION.rules:
        env = TwinVectorEnv(RETENTION, 100, dynamics="reference", autoreset="disabled", people="test")
        observation, _ = env.reset(seed=5)
        policy, rule, state = RulePolicy(RETENTION, name), RETENTION.rule(name), None
        for _ in range(20):
            actions, state = policy.predict(observation, state)
            np.testing.assert_array_equal(np.ravel(actions), rule.act(env.values(), {}, rule.settings)["contact"])
            observation, *_ = env.step(actions)


def test_rules_follow_their_settings_and_the_visible_origin() -> None:
    now = Values(
        tenure=np.array([0.0, 4.0, 5.0, 8.0]),
        recency=np.array([0.0, 1.0, 2.0, 1.0]),
        p_alive=np.array([1.0, 0.9, 0.5, 0.71]),
        weeks_since_contact=np.array([52.0, 1.0, 9.0, 8.0]),
        consent=np.ones(4),
        acquired_via=np.array([0.0, 1.0, 0.0, 2.0]),
    )

    def sent(name: str, **settings: float) -> list[float]:
        rule = RETENTION.rule(name).with_settings(**settings)
        return rule.act(now, {}, rule.settings)["contact"].tolist()

    assert sent("never") == [0, 0, 0, 0]
    assert sent("every_k_weeks") == [1, 1, 0, 0]
    assert sent("every_k_weeks", phone_contact=3.0, contact=2.0) == [2, 2, 0, 3]
    assert sent("recency") == [1, 0, 0, 0]
    assert sent("recency", after=1.0, until=2.0, gap=1.0, phone_contact=1.0) == [0, 1, 1, 1]
    assert sent("p_alive", phone_contact=3.0) == [1, 0, 0, 3]
    assert sent("p_alive", least=0.4, gap=9.0) == [1, 0, 1, 0]
    assert sent("blanket") == [2, 2, 2, 2]
    now["consent"] = np.array([1.0, 1.0, 1.0, 0.0])
    assert sent("every_k_weeks", phone_contact=3.0) == [1, 1, 0, 0]
    assert sent("blanket") == [2, 2, 2, 2]


# -- the reference as dynamics -----------------------------------------------------------------------------------------


def test_a_course_does_not_depend_on_company() -> None:
    ids = np.arange(300)
    together = live(RETENTION, ids, lambda week, o: (week % 4) * o[:, CONSENT]).observed
    few = live(RETENTION, ids[[7, 250]], lambda week, o: (week % 4) * o[:, CONSENT]).observed
    np.testing.assert_array_equal(few, together[:, [7, 250]])


def test_restart_and_take_leave_others_alone() -> None:
    dynamics, empty = RetentionReference(Constants()), np.zeros((40, 0))
    cohort, new = RETENTION.people.sample(np.arange(40)), RETENTION.people.sample([900, 901])
    before = {name: values.copy() for name, values in cohort.hidden.items()}
    noise = uniforms(0, np.arange(40), 0, Stream.DYNAMICS, np.arange(3)[:, None], 4)
    state, _ = dynamics.initial(cohort, empty, noise[0])
    state, _ = dynamics.step(state, np.ones((40, 1)), empty, noise[1])
    branch = dynamics.take(state, np.array([3, 3, 12]))
    kept = dynamics.take(state, np.arange(40))
    state, first = dynamics.restart(state, np.array([12, 5]), new, empty[:2], noise[0, :2])
    assert first.shape == (2, len(NAMES))
    _, alone = dynamics.step(kept, np.ones((40, 1)), empty, noise[2])
    _, after = dynamics.step(state, np.ones((40, 1)), empty, noise[2])
    others = np.setdiff1d(np.arange(40), [5, 12])
    np.testing.assert_array_equal(after[others], alone[others])
    np.testing.assert_array_equal(after[[12, 5], RATE], new.hidden["rate"])
    _, branched = dynamics.step(branch, np.ones((3, 1)), empty[:3], noise[2, [3, 3, 12]])
    np.testing.assert_array_equal(branched, alone[[3, 3, 12]])
    for name, values in before.items():
        np.testing.assert_array_equal(cohort.hidden[name], values)


def test_every_constant_says_where_it_comes_from() -> None:
    assert set(RETENTION.provenance) == {f.name for f in fields(Constants)}
    published = {name for name, parameter in RETENTION.provenance.items() if parameter.source != "assumption"}
    assert set(PUBLISHED) <= published
    assert {"uplift_email", "margin", "disparity", "browsing", "phone_if_web"}.isdisjoint(published)


def test_a_thousand_customers_make_half_a_million_steps_per_cpu_second() -> None:
    n, dynamics, empty = 1024, RetentionReference(Constants()), np.zeros((1024, 0))
    ids = np.arange(n)
    noise = uniforms(0, ids, 0, Stream.DYNAMICS, np.arange(WEEKS + 1)[:, None], dynamics.noise_width)
    state, _ = dynamics.initial(RETENTION.people.sample(ids), empty, noise[0])
    contact = np.ones((n, 1))
    begun = time.process_time()
    for week in range(WEEKS):
        state, _ = dynamics.step(state, contact, empty, noise[week + 1])
    assert n * WEEKS / (time.process_time() - begun) > 0.5e6
