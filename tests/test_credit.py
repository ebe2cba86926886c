"""Are thresholds and score moves of Credit those of the literature, and does each limit mean something?"""

from __future__ import annotations

import os
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import beta
from tests import seven_bins

from twingym.envs import RulePolicy, TwinVectorEnv
from twingym.envs.layout import ObservationLayout
from twingym.evaluation import evaluate, flip, verdicts
from twingym.scenarios import Scenario, get
from twingym.scenarios.credit.reference import Constants
from twingym.scenarios.credit.rules import CYCLES
from twingym.scenarios.credit.scenario import from_files
from twingym.scenarios.credit.tables import (
    COLUMNS,
    ScoreTable,
    demographic_parity,
    equal_opportunity,
    equalised,
    profit,
    topmost,
    worth_it,
)
from twingym.scenarios.step import Step, Values
from twingym.twins.cohort import people
from twingym.twins.errors import SpecError, UnknownNameError
from twingym.twins.noise import Stream, uniforms

CREDIT = get("Credit-v0")
PUBLISHED = CREDIT.vary(other_news=0.0)
DENY, GRANT = 0.0, 1.0
DEFAULTED, SCORE, WOULD_HAVE_REPAID = range(3)
BLACK, WHITE = range(2)
FILES = ("transrisk_cdf_by_race_ssa.csv", "transrisk_performance_by_race_ssa.csv", "totals.csv")
TABLES = os.environ.get("TWINGYM_CREDIT_TABLES", "")  # folder with the report's tables, for who has them

# Liu's own code on the report's tables, defaults cost 4: thresholds, shares granted, true positive rates, mean changes
# of score (black, white), and profit.
ROWS = {
    "max_utility": ((645.0, 613.8), (0.168, 0.663), (0.450, 0.834), (8.40, 38.67), 0.4574),
    "demographic_parity": ((480.1, 649.2), (0.577, 0.577), (0.924, 0.737), (-17.14, 35.04), 0.3355),
    "equal_opportunity": ((557.3, 631.0), (0.356, 0.625), (0.791, 0.791), (6.01, 37.24), 0.4305),
}


def rows_of(table: ScoreTable) -> dict[str, tuple[tuple[float, ...], ...]]:
    """The columns of ``ROWS`` on any table; Liu's code bounds the expected score, not the score."""
    grants = {
        "max_utility": worth_it(table.repay, 0.8),
        "demographic_parity": demographic_parity(table, 1.0, 4.0),
        "equal_opportunity": equal_opportunity(table, 1.0, 4.0),
    }
    moved = np.clip(table.scores + 75.0 * table.repay - 150.0 * (1.0 - table.repay), 300.0, 850.0) - table.scores
    found = {}
    for name, grant in grants.items():
        selected, paying = table.shares * grant, table.shares * table.repay
        found[name] = (
            tuple(table.least(grant)),
            tuple(selected.sum(axis=1)),
            tuple((paying * grant).sum(axis=1) / paying.sum(axis=1)),
            tuple((selected * moved).sum(axis=1)),
            float((selected * profit(table.repay, 1.0, 4.0)).sum(axis=1) @ table.people),
        )
    return found


def course(scenario: Scenario, ids: np.ndarray, loan: np.ndarray, seed: int = 0, **fixed: float) -> np.ndarray:
    """Move people by the reference under loans (T, N) or one for all, (T,); returns observed (T + 1, N, V)."""
    cohort, dynamics, empty = scenario.people.sample(ids, fixed=fixed), scenario.reference(), np.zeros((len(ids), 0))
    state, observed = dynamics.initial(cohort, empty, uniforms(seed, ids, 0, Stream.DYNAMICS, 0, 2))
    seen = [observed]
    for t, given in enumerate(loan):
        action = np.broadcast_to(given, (len(ids),))[:, None]
        state, observed = dynamics.step(state, action, empty, uniforms(seed, ids, 0, Stream.DYNAMICS, t + 1, 2))
        seen.append(observed)
    return np.array(seen)


# -- thresholds --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not TABLES, reason="TWINGYM_CREDIT_TABLES names no folder with the report's tables")
def test_the_reports_tables_give_the_printed_digits() -> None:
    table = from_files(*(Path(TABLES) / name for name in FILES)).parameters.table
    assert round(table.people[BLACK], 5) == 0.12067
    assert [round(float(x), 1) for x in table.shares @ table.scores] == [515.8, 651.3]
    assert [round(float(x), 4) for x in (table.shares * table.repay).sum(axis=1)] == [0.3366, 0.7587]
    for name, found in rows_of(table).items():
        for printed, number in zip(np.hstack(ROWS[name]), np.hstack(found[:5]), strict=True):
            digits = len(str(printed).partition(".")[2])
            assert abs(number - printed) <= 0.51 * 10.0**-digits, (name, number, printed)


def test_the_synthetic_calibration_has_the_published_means_and_comes_near_the_rows() -> None:
    table = CREDIT.parameters.table
    np.testing.assert_allclose(table.shares.sum(axis=1), 1.0)
    np.testing.assert_allclose(table.shares @ table.scores, [515.8, 651.3], atol=0.05)
    np.testing.assert_allclose((table.shares * table.repay).sum(axis=1), [0.3366, 0.7587], atol=0.001)
    found = rows_of(table)
    for name, (least, selected, rate, moved, earned) in ROWS.items():
        np.testing.assert_allclose(found[name][0], least, atol=14.0)
        np.testing.assert_allclose(found[name][1], selected, atol=0.015)
        np.testing.assert_allclose(found[name][2], rate, atol=0.04)
        np.testing.assert_allclose(found[name][3], moved, atol=5.0)
        np.testing.assert_allclose(found[name][4], earned, atol=0.05)
    # What the paper is about: parity in numbers harms those whom it is for, parity among the good does not.
    assert found["demographic_parity"][3][BLACK] < 0.0 < found["equal_opportunity"][3][BLACK]


@pytest.mark.parametrize(
    ("group", "mean", "least", "selected", "repay"),
    [("black", 515.8, 645.0, 0.168, 0.3366), ("white", 651.3, 613.8, 0.663, 0.7587)],
)
def test_the_calibration_is_that_of_the_published_numbers(
    group: str, mean: float, least: float, selected: float, repay: float
) -> None:
    place, at = (mean - 300.0) / 550.0, (least - 300.0) / 550.0
    size = brentq(lambda n: beta.sf(at, place * n, (1.0 - place) * n) - selected, 2.0, 20.0)
    scores = 300.0 + 550.0 * beta.ppf((np.arange(20_000) + 0.5) / 20_000, place * size, (1.0 - place) * size)

    def middle(width: float) -> float:
        return least - np.log(4.0) * width  # four in five repay at the threshold

    width = brentq(lambda w: expit((scores - middle(w)) / w).mean() - repay, 10.0, 100.0)
    constants = CREDIT.parameters
    assert getattr(constants, f"sd_{group}") == round(550.0 * np.sqrt(place * (1.0 - place) / (size + 1.0)), 1)
    assert getattr(constants, f"middle_{group}") == round(middle(width), 1)
    assert getattr(constants, f"width_{group}") == round(width, 1)


def test_parity_is_exact_and_no_other_threshold_earns_more() -> None:
    table = CREDIT.parameters.table
    for weight, grants in (
        (table.shares, demographic_parity(table, 1.0, 4.0)),
        (table.shares * table.repay, equal_opportunity(table, 1.0, 4.0)),
    ):
        weight = weight / weight.sum(axis=1, keepdims=True)
        amounts = (weight * grants).sum(axis=1)
        assert amounts[0] == pytest.approx(amounts[1], abs=1e-12)
        gain = table.shares * profit(table.repay, 1.0, 4.0)
        others = topmost(weight[None], np.linspace(0.0, 1.0, 2001)[:, None])
        assert (grants * gain).sum(axis=1) @ table.people >= (((others * gain).sum(axis=2)) @ table.people).max() - 1e-9


def test_granting_from_the_top_splits_the_last_score() -> None:
    weight = np.array([[0.2, 0.3, 0.0, 0.5]])
    np.testing.assert_allclose(topmost(weight, np.array([0.65])), [[0.0, 0.5, 1.0, 1.0]])
    np.testing.assert_allclose(topmost(weight, np.array([0.0])), [[0.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(topmost(weight, np.array([1.0])), [[1.0, 1.0, 1.0, 1.0]])


# -- seven bins (D'Amour et al. 2020), mean (sd) of 100 runs of an independent simulation, 20,000 applicants ----------

MAX_UTILITY = {
    "tpr": ((0.477, 0.341), (0.038, 0.042)),
    "loans": ((3529.0, 2192.0), (322.0, 287.0)),
    "mean": ((0.464, 0.414), (0.008, 0.007)),
    "profit": (2159.0, 227.0),
    "gap": (0.137, 0.054),
}
EQUAL_OPPORTUNITY = {
    "tpr": ((0.560, 0.560), (0.037, 0.036)),
    "loans": ((3970.0, 3092.0), (314.0, 273.0)),
    "mean": ((0.410, 0.316), (0.029, 0.028)),
    "profit": (2587.0, 265.0),
    "gap": (0.0078, 0.0066),
}
# Grants from the fourth bin on, 2,000 applicants.
FEW = {
    "tpr": ((0.755, 0.573), (0.033, 0.041)),
    "loans": ((637.0, 409.0), (36.0, 31.0)),
    "mean": ((0.561, 0.474), (0.009, 0.009)),
}


def within_chance(found: dict[str, np.ndarray], printed: dict[str, tuple]) -> None:
    """Both are means over runs: they may differ by three standard errors of the difference."""
    found = {**found, "gap": np.abs(np.diff(found["tpr"], axis=1))[:, 0]}
    for name, (mean, sd) in printed.items():
        runs = len(found[name])
        error = np.sqrt(np.square(sd) / 100 + found[name].var(axis=0, ddof=1) / runs)
        assert (np.abs(found[name].mean(axis=0) - mean) < 3.0 * error).all(), (name, found[name].mean(axis=0), mean)


def test_seven_bins_under_max_utility() -> None:
    found = seven_bins.lend(seven_bins.max_utility, 20_000, 200)
    within_chance(found, MAX_UTILITY)


def test_seven_bins_after_the_first_applicants() -> None:
    within_chance(seven_bins.lend(seven_bins.max_utility, 2000, 200), FEW)


def test_seven_bins_under_dynamic_equal_opportunity() -> None:
    found = seven_bins.lend(seven_bins.equal_opportunity, 20_000, 40)
    within_chance(found, EQUAL_OPPORTUNITY)
    # The published surprise: more loans to the second group than under max-utility, and a wider gap of credit.
    assert found["loans"][:, 1].mean() > 1.3 * MAX_UTILITY["loans"][0][1]
    assert -np.diff(found["mean"].mean(axis=0)) > 0.08


def test_seven_bins_under_static_equal_opportunity() -> None:
    grants = seven_bins.equal_opportunity(seven_bins.FIRST[None])[0]
    paying = seven_bins.FIRST * seven_bins.REPAY
    rates = (paying * grants).sum(axis=1) / paying.sum(axis=1)
    assert [round(rate, 3) for rate in rates] == [0.890, 0.890]
    loans = 10_000 * (seven_bins.FIRST * grants).sum(axis=1)
    np.testing.assert_allclose(loans, [8000, 7460], atol=10)  # 7,460 was counted in runs
    assert [round(mean, 3) for mean in paying.sum(axis=1)] == [0.590, 0.495]
    earned = 10_000 * (seven_bins.FIRST * grants * profit(seven_bins.REPAY, 1.0, 1.0)).sum()
    assert earned == pytest.approx(3843.0, abs=3.0 * 126.0 / 10.0)
    # In runs rates differ by chance alone.
    rates = seven_bins.lend(seven_bins.equal_opportunity, 20_000, 40, mass=0.0)["tpr"]
    gap = np.abs(np.diff(rates, axis=1))
    assert abs(gap.mean() - 0.0046) < 3.0 * np.hypot(0.0036 / 10.0, gap.std() / 40**0.5)


# -- how scores move ---------------------------------------------------------------------------------------------------


def test_scores_move_as_published() -> None:
    ids = np.arange(4000)
    seen = course(PUBLISHED, ids, np.ones(12))
    before, after, repaid = seen[:-1, :, SCORE], seen[1:, :, SCORE], seen[1:, :, WOULD_HAVE_REPAID]
    np.testing.assert_array_equal(after, np.clip(before + np.where(repaid == 1.0, 75.0, -150.0), 300.0, 850.0))
    np.testing.assert_array_equal(seen[1:, :, DEFAULTED], 1.0 - repaid)
    still = course(PUBLISHED, ids, np.zeros(12))
    assert (still[..., SCORE] == still[0, :, SCORE]).all()
    assert (still[..., DEFAULTED] == 0.0).all()
    # Whether they would have repaid is known all the same, and it is the same luck.
    np.testing.assert_array_equal(still[1, :, WOULD_HAVE_REPAID], seen[1, :, WOULD_HAVE_REPAID])


def test_who_repays_is_decided_by_score_and_group() -> None:
    ids = np.arange(40_000)
    seen, race = course(CREDIT, ids, np.zeros(1)), CREDIT.people.sample(ids).traits["race"]
    scores, repaid, constants = seen[0, :, SCORE], seen[1, :, WOULD_HAVE_REPAID], CREDIT.parameters
    for group, name in ((BLACK, "black"), (WHITE, "white")):
        mine = race == group
        middle, width = getattr(constants, f"middle_{name}"), getattr(constants, f"width_{name}")
        for low in (300.0, 450.0, 550.0, 600.0, 650.0, 750.0):
            there = mine & (scores >= low) & (scores < low + 50.0)
            chance = expit((scores[there] - middle) / width).mean()
            assert abs(repaid[there].mean() - chance) < 4.0 * np.sqrt(chance * (1.0 - chance) / there.sum()) + 1e-3
        assert scores[mine].mean() == pytest.approx(getattr(constants, f"mean_{name}"), abs=3.0)
        assert scores[mine].std() == pytest.approx(getattr(constants, f"sd_{name}"), abs=2.0)


def test_other_news_is_the_only_thing_that_moves_who_is_denied() -> None:
    ids = np.arange(5000)
    seen = course(CREDIT, ids, np.zeros(1))
    inside = np.abs(seen[0, :, SCORE] - 575.0) < 200.0
    moved = (seen[1] - seen[0])[inside, SCORE]
    assert abs(moved.mean()) < 4.0 * 15.0 / np.sqrt(inside.sum())
    assert moved.std() == pytest.approx(15.0, rel=0.05)


def test_a_course_does_not_depend_on_company() -> None:
    ids, loans = np.arange(300), np.arange(20) % 2.0
    np.testing.assert_array_equal(course(CREDIT, ids[[7, 250]], loans), course(CREDIT, ids, loans)[:, [7, 250]])


# -- groups ------------------------------------------------------------------------------------------------------------


def test_sex_has_no_effect_and_race_has_one() -> None:
    table = flip(RulePolicy(CREDIT, "one_threshold"), CREDIT, people("test", 150), trait="sex")
    assert (table["difference"] == 0.0).all()
    assert (table["action_disagreement"] == 0.0).all()
    assert (
        flip(RulePolicy(CREDIT, "one_threshold"), CREDIT, people("test", 150), trait="race")["difference"] != 0
    ).any()


def test_who_is_given_another_race_keeps_the_place_among_its_own() -> None:
    ids = np.arange(500)
    black, white = (CREDIT.people.sample(ids, fixed={"race": float(k)}).hidden["first_score"] for k in (BLACK, WHITE))
    np.testing.assert_array_equal(np.argsort(black), np.argsort(white))
    assert black.mean() < white.mean() - 100.0


def test_groups_are_shown_to_the_lender_only_if_so_asked() -> None:
    hidden = CREDIT.vary(group_visible=False)
    # People move alike, so that the shipped twin model serves both.
    assert hidden.world_fingerprint() == CREDIT.world_fingerprint()
    shown, left = (set(ObservationLayout(s).names) for s in (CREDIT, hidden))
    assert shown - left == {"group=black", "group=white"}
    assert not [name for name in left if name.startswith(("race", "sex", "would_have_repaid"))]
    assert {"demographic_parity", "equal_opportunity"} == set(CREDIT.rules) - set(hidden.rules)
    pooled = hidden.rule("max_utility").settings["least"]
    known = CREDIT.rule("max_utility").settings
    assert known["white"] < pooled < known["black"]
    # Auditors know the groups all the same.
    table = verdicts(evaluate(RulePolicy(hidden, "max_utility"), hidden, people("test", 400)))
    assert table.set_index("name").loc["approval_gap_race", "estimate"] > 0.2


def test_one_twin_model_serves_lenders_who_see_groups_and_who_do_not() -> None:
    courses = []
    for scenario in (CREDIT, CREDIT.vary(group_visible=False)):
        env = TwinVectorEnv(scenario, 20, dynamics="transformer", autoreset="disabled")
        env.reset(seed=1)
        for cycle in range(6):
            env.step((np.arange(20) + cycle) % 2)
        courses.append(env.observed)
    np.testing.assert_array_equal(*courses)
    assert np.isnan(courses[0][:, WOULD_HAVE_REPAID]).all()


def test_what_denied_applicants_would_have_done_is_hidden_from_reward_and_costs() -> None:
    peeking = replace(CREDIT, reward=lambda step: step.after["would_have_repaid"])
    env = TwinVectorEnv(peeking, 2, dynamics="reference")
    env.reset(seed=0)
    with pytest.raises(UnknownNameError, match="Auditor variables are hidden"):
        env.step(np.ones(2, int))


# -- money, limits, rules ----------------------------------------------------------------------------------------------


def step_of(race: int, loan: list[float], defaulted: list[float], before: list[float], after: list[float]) -> Step:
    return Step(
        Values(score=np.array(before), race=np.full(len(loan), float(race))),
        Values(loan=np.array(loan)),
        Values(score=np.array(after), defaulted=np.array(defaulted)),
    )


def test_reward_and_costs_are_what_loans_do() -> None:
    loan, defaulted = [DENY, GRANT, GRANT, GRANT], [0.0, 0.0, 1.0, 0.0]
    step = step_of(BLACK, loan, defaulted, [500.0, 500.0, 620.0, 700.0], [490.0, 575.0, 470.0, 775.0])
    np.testing.assert_array_equal(CREDIT.reward(step), [0.0, 1.0, -4.0, 1.0])
    np.testing.assert_array_equal(CREDIT.vary(lost=10.0, earned=2.0).reward(step), [0.0, 2.0, -10.0, 2.0])
    cost = {c.name: c.cost(step) for c in CREDIT.costs}
    np.testing.assert_array_equal(cost["defaults"], defaulted)
    np.testing.assert_array_equal(cost["over_lending"], [0.0, 1.0, 0.0, 0.0])
    np.testing.assert_array_equal(cost["score_decline"], [0.0, 0.0, 150.0, 0.0])
    np.testing.assert_array_equal(cost["write_offs"], [0.0, 0.0, 4.0, 0.0])
    need, benefit = CREDIT.need(step), CREDIT.benefit(step)
    np.testing.assert_allclose(need, expit((np.array([500.0, 500.0, 620.0, 700.0]) - 577.1) / 48.9), atol=1e-12)
    np.testing.assert_array_equal(benefit, need * loan)


@pytest.fixture(scope="module")
def judged() -> dict[str, dict[str, float]]:
    """Estimate of each limit, and the return, over 2,000 people by rule."""
    policies = {name: RulePolicy(CREDIT, name) for name in CREDIT.rules}
    policies["narrow"] = RulePolicy(CREDIT, "equal_opportunity", {"black": 575.0, "white": 710.0})
    found = {}
    for name, policy in policies.items():
        evaluation = evaluate(policy, CREDIT, people("test", 2000))
        table = verdicts(evaluation)
        found[name] = dict(zip(table["name"], table["estimate"], strict=True))
        found[name]["return"] = evaluation.episodes["return"].mean()
        found[name]["denied_though_good"] = evaluation.episodes["denied_though_good"].mean()
    return found


def within(constraint: str, found: dict[str, float]) -> bool:
    """Whether an estimate is allowed: of a chance constraint it is a share of people."""
    limit = next(c for c in CREDIT.constraints if c.name == constraint)
    return found[constraint] <= (limit.risk if limit.kind == "chance" else limit.limit)


def test_each_limit_is_broken_by_some_rule_and_all_are_kept_by_one_that_earns(judged) -> None:
    for constraint in CREDIT.constraints:
        broken = [name for name in CREDIT.rules if not within(constraint.name, judged[name])]
        assert broken, constraint.name
        assert within(constraint.name, judged["narrow"]), constraint.name
        assert within(constraint.name, judged["deny_all"]), constraint.name
    # Each rule of the paper breaks some limit, and not all the same.
    assert within("defaults", judged["max_utility"])
    assert not within("approval_gap_race", judged["max_utility"])
    assert not within("over_lending", judged["demographic_parity"])
    assert judged["narrow"]["return"] > 10.0


def test_rules_earn_in_the_order_of_their_foresight(judged) -> None:
    earned = {name: found["return"] for name, found in judged.items()}
    assert earned["approve_all"] < earned["deny_all"] == 0.0 < earned["demographic_parity"]
    # Max-utility earns most in a cycle, not in forty: scores that loans raise pay later.
    assert earned["score_raising"] > earned["max_utility"]
    good = {name: found["denied_though_good"] for name, found in judged.items()}
    assert good["approve_all"] == 0.0 < good["demographic_parity"] < good["max_utility"] < good["deny_all"]


def test_rules_decide_the_same_from_scaled_observations() -> None:
    for name in CREDIT.rules:
        env = TwinVectorEnv(CREDIT, 100, dynamics="reference", autoreset="disabled", people="test")
        observation, _ = env.reset(seed=5)
        policy, rule = RulePolicy(CREDIT, name), CREDIT.rule(name)
        for _ in range(20):
            actions, _ = policy.predict(observation)
            now = env.values()
            near = np.min([np.abs(now["score"] - s) for s in (*rule.settings.values(), 1e9)], axis=0) < 1e-3
            wanted = np.broadcast_to(rule.act(now, {}, rule.settings)["loan"], (100,))
            np.testing.assert_array_equal(np.ravel(actions)[~near], wanted[~near])
            observation, *_ = env.step(actions)


def test_the_file_counts_what_happened() -> None:
    env = TwinVectorEnv(CREDIT, 200, dynamics="reference", autoreset="disabled")
    env.reset(seed=3)
    random, loans, defaults = np.random.default_rng(0), np.zeros(200), np.zeros(200)
    last = np.full(200, np.inf)
    for _ in range(CYCLES):
        loan = random.integers(0, 2, 200)
        env.step(loan)
        now, defaulted = env.values(), env.observed[:, DEFAULTED]
        loans, defaults = loans + loan, defaults + defaulted
        last = np.where(defaulted > 0.0, 0.0, last + 1.0)
        np.testing.assert_array_equal(now["loans"], loans)
        np.testing.assert_array_equal(now["defaults"], defaults)
        np.testing.assert_array_equal(now["cycles_since_default"], np.minimum(last, CYCLES))
        np.testing.assert_array_equal(now["group"], env.cohort.traits["race"])


# -- tables of one's own -----------------------------------------------------------------------------------------------


def write_tables(folder: Path) -> tuple[Path, Path, Path]:
    """Tables of three scores in the report's format."""
    paths = tuple(folder / name for name in FILES)
    percentile = {"Score": [0.0, 27.7, 100.0]}
    columns = [
        percentile | {COLUMNS["white"]: w, COLUMNS["black"]: b}
        for w, b in (
            ([10.0, 40.0, 100.0], [30.0, 80.0, 100.0]),
            ([90.0, 30.0, 1.0], [95.0, 40.0, 5.0]),
        )
    ]
    pd.DataFrame(columns[0]).to_csv(paths[0], index=False)
    pd.DataFrame(columns[1]).to_csv(paths[1], index=False)
    pd.DataFrame({"Kind": ["SSA"], COLUMNS["white"]: [300], COLUMNS["black"]: [100]}).to_csv(paths[2], index=False)
    return paths


def test_files_make_a_scenario_of_their_own(tmp_path: Path) -> None:
    paths = write_tables(tmp_path)
    own = from_files(*paths)
    table = own.parameters.table
    np.testing.assert_allclose(table.scores, [300.0, 550.0 + 50.0 * 1.6 / 9.6, 850.0])  # 26.1 % score below 550
    np.testing.assert_allclose(table.shares, [[0.3, 0.5, 0.2], [0.1, 0.3, 0.6]])
    np.testing.assert_allclose(table.repay, [[0.05, 0.6, 0.95], [0.1, 0.7, 0.99]])
    np.testing.assert_allclose(table.people, [0.25, 0.75])
    assert own.world_fingerprint() != CREDIT.world_fingerprint()
    assert own.vary(other_news=0.0).id == own.id == "CreditTables-v0"
    assert own.rule("max_utility").settings == {"black": 850.0, "white": 850.0}
    seen = course(own, np.arange(200), np.ones(3))
    assert ((seen[..., SCORE] >= 300.0) & (seen[..., SCORE] <= 850.0)).all()


def test_wrong_files_are_refused_by_name(tmp_path: Path) -> None:
    distribution, performance, totals = write_tables(tmp_path)
    with pytest.raises(SpecError, match=r"missing\.csv does not exist"):
        from_files(tmp_path / "missing.csv", performance, totals)
    with pytest.raises(UnknownNameError, match=r"totals\.csv.*'Score'"):
        from_files(totals, performance, totals)
    with pytest.raises(SpecError, match="must rise to 100 percent"):
        from_files(performance, distribution, totals)
    table = pd.read_csv(distribution)
    table.assign(Score=[0.0, 50.0, 100.0]).to_csv(distribution, index=False)
    with pytest.raises(SpecError, match="column 'Score' must rise and be that of"):
        from_files(distribution, performance, totals)


def test_impossible_spreads_are_refused() -> None:
    with pytest.raises(SpecError, match="less spread than if all were at either end"):
        CREDIT.vary(sd_black=400.0)


# -- the scenario itself -----------------------------------------------------------------------------------------------


def test_every_constant_says_where_it_comes_from() -> None:
    assert set(CREDIT.provenance) == {f.name for f in fields(Constants)}
    guessed = {name for name, parameter in CREDIT.provenance.items() if parameter.source == "assumption"}
    assert guessed == {"other_news", "drawn_black", "group_visible"}


def test_equalised_grants_nothing_where_nothing_is_gained() -> None:
    weight = np.array([[0.5, 0.5], [0.5, 0.5]])
    assert (equalised(weight, -weight, np.array([0.5, 0.5])) == 0.0).all()
