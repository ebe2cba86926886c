"""Is the reference of Warfarin Hamberg's model, are its people those of the sources, and are the rules as published?"""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from twingym.envs import RulePolicy, TwinVectorEnv
from twingym.evaluation import evaluate, flip, verdicts
from twingym.scenarios import get
from twingym.scenarios.step import Step, Values
from twingym.scenarios.warfarin.hamberg import Body, Day, untreated
from twingym.scenarios.warfarin.reference import ANCESTRIES, CYP2C9, VKORC1, Constants, WarfarinReference
from twingym.scenarios.warfarin.rules import Dosing, Practice
from twingym.scenarios.warfarin.scenario import in_range
from twingym.twins.cohort import people
from twingym.twins.noise import Stream, uniforms

WARFARIN = get("Warfarin-v0")
AFRICAN, EAST_ASIAN, EUROPEAN = range(len(ANCESTRIES))
GG, GA, AA = range(len(VKORC1))
INR, TRUE = 0, 1


def typical(cyp2c9: str, vkorc1: int, age: float = 71.0) -> Body:
    return Constants().typical(np.array([age]), np.array([float(CYP2C9.index(cyp2c9))]), np.array([float(vkorc1)]))


def course(body: Body, dose: float, days: int) -> np.ndarray:
    """INR after each day of the same dose."""
    day, state, found = Day(body, Constants()), untreated(1), []
    for _ in range(days):
        state = day.pass_with(np.array([dose]), state)
        found.append(float(day.inr(state)[0]))
    return np.array(found)


# -- the equations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cyp2c9", "vkorc1", "printed"),
    [
        ("*1/*1", GG, (1.40, 1.76, 1.93, 1.94, 1.94)),
        ("*1/*1", GA, (1.56, 2.07, 2.30, 2.32, 2.32)),
        ("*1/*1", AA, (1.91, 2.72, 3.09, 3.11, 3.11)),
        ("*1/*3", GA, (1.70, 2.56, 3.09, 3.17, 3.17)),
    ],
)
def test_five_milligrams_a_day_give_the_printed_digits(cyp2c9: str, vkorc1: int, printed: tuple[float, ...]) -> None:
    found = course(typical(cyp2c9, vkorc1), 5.0, 60)[[2, 6, 13, 27, 59]]
    assert tuple(found.round(2)) == printed


@pytest.mark.parametrize(("age", "printed"), [(55.0, 2.200), (71.0, 2.318)])
def test_age_gives_the_printed_digits(age: float, printed: float) -> None:
    assert round(course(typical("*1/*1", GA, age), 5.0, 60)[-1], 3) == printed


@pytest.mark.parametrize(("cyp2c9", "vkorc1", "dose"), [("*1/*1", GG, 2.0), ("*3/*3", AA, 15.0)])
def test_days_agree_with_a_solver(cyp2c9: str, vkorc1: int, dose: float) -> None:
    body = typical(cyp2c9, vkorc1)
    ke, volume, half = body.elimination[0], body.volume[0], body.half_effect[0]

    def slopes(_: float, x: np.ndarray) -> np.ndarray:
        c = (max(x[1], 0.0) / volume) ** 1.15
        blocked = c / (c + half**1.15)
        chain = [
            rate * (given - here)
            for rate, stages in ((3 / 28.6, x[2:5]), (3 / 118.3, x[5:8]))
            for given, here in zip((1.0 - blocked, *stages[:2]), stages, strict=True)
        ]
        return np.array([-2.0 * x[0], 2.0 * x[0] - ke * x[1], *chain])

    x, inr = np.array([0.0, 0.0, *[1.0] * 6]), []
    for _ in range(14):
        x[0] += dose / 2.0
        x = solve_ivp(slopes, (0.0, 24.0), x, method="LSODA", rtol=1e-9, atol=1e-12).y[:, -1]
        inr.append(1.0 + 20.0 * (1.0 - (x[4] + x[7]) / 2.0))
    np.testing.assert_allclose(course(body, dose, 14), inr, rtol=3e-5)


def test_without_warfarin_the_inr_is_one_but_for_its_error() -> None:
    env = TwinVectorEnv(WARFARIN, 2000, dynamics="reference", autoreset="disabled", horizon=5)
    env.reset(seed=1)
    for _ in range(3):
        env.step(-np.ones((2000, 1)))
    assert (env.observed[:, TRUE] == 1.0).all()
    error = np.log(env.observed[:, INR])
    assert abs(error.mean()) < 4.0 * 0.19 / np.sqrt(2000)
    assert error.std() == pytest.approx(0.19, rel=0.07)


# -- people ------------------------------------------------------------------------------------------------------------


def test_alleles_are_as_frequent_as_in_each_population() -> None:
    traits = WARFARIN.people.sample(np.arange(60_000)).traits
    copies = np.array([[0, 0], [1, 0], [0, 1], [2, 0], [1, 1], [0, 2]])[traits["cyp2c9"].astype(int)]  # of *2 and *3
    frequencies = {AFRICAN: (0.008, 0.002, 0.054), EAST_ASIAN: (0.001, 0.034, 0.885), EUROPEAN: (0.124, 0.073, 0.388)}
    for ancestry, expected in frequencies.items():
        who = traits["ancestry"] == ancestry
        assert who.mean() == pytest.approx(1.0 / 3.0, abs=0.01)
        found = [*(copies[who].mean(axis=0) / 2.0), traits["vkorc1"][who].mean() / 2.0]
        for share, frequency in zip(found, expected, strict=True):
            assert abs(share - frequency) < 4.0 * np.sqrt(frequency * (1.0 - frequency) / (2.0 * who.sum()))


def test_people_differ_as_much_as_published() -> None:
    cohort = WARFARIN.people.sample(np.arange(20_000))
    expected = Constants().typical(*(cohort.traits[name] for name in ("age", "cyp2c9", "vkorc1")))
    for name, spread in (("elimination", 0.071), ("volume", 0.054), ("half_effect", 0.240)):
        apart = np.log(cohort.hidden[name] / getattr(expected, name))
        assert abs(apart.mean()) < 4.0 * spread / np.sqrt(20_000)
        assert apart.std() == pytest.approx(spread, rel=0.03)
    assert cohort.traits["age"].mean() == pytest.approx(67.3, abs=0.8)  # a little less, cut off at 95
    bands = np.digitize(cohort.traits["age"], (65.0, 75.0))
    np.testing.assert_array_equal(cohort.traits["age_band"], bands)


def test_sex_does_nothing_and_ancestry_acts_through_alleles_alone() -> None:
    ids = people("test", 200)
    same, sized = (flip(RulePolicy(WARFARIN, rule), WARFARIN, ids, trait="sex") for rule in ("fixed", "iwpc_genetic"))
    assert (same["difference"] == 0.0).all()
    assert (sized["action_disagreement"] > 0.0).all()  # formulas look at height and weight
    genes = {"vkorc1": float(GA), "cyp2c9": 0.0}
    hidden = [
        WARFARIN.people.sample(ids, fixed={**genes, "ancestry": float(ancestry)}).hidden
        for ancestry in range(len(ANCESTRIES))
    ]
    for name, values in hidden[0].items():
        for other in hidden[1:]:
            np.testing.assert_array_equal(values, other[name])
    alike = [WARFARIN.people.sample(ids, fixed={"ancestry": float(a)}).traits["vkorc1"] for a in (AFRICAN, EAST_ASIAN)]
    assert (alike[0] <= alike[1]).all()
    assert (alike[0] < alike[1]).mean() > 0.8


# -- what is counted ---------------------------------------------------------------------------------------------------


def test_time_in_range_is_that_of_a_straight_line() -> None:
    begin, end = np.array([1.5, 1.0, 2.5, 3.5, 4.0, 1.0]), np.array([2.5, 4.0, 2.5, 3.5, 2.5, 2.0])
    step = Step(Values(inr=begin), Values(dose=begin), Values(inr=end))
    np.testing.assert_allclose(in_range(step), [0.5, 1.0 / 3.0, 1.0, 0.0, 1.0 / 3.0, 0.0])


@pytest.mark.parametrize(("dynamics", "known"), [("reference", True), ("transformer", False)])
def test_a_twin_model_does_not_know_the_inr_without_error(dynamics: str, known: bool) -> None:
    policy = RulePolicy(WARFARIN, "fixed")
    found = evaluate(policy, WARFARIN, people("test", 8), dynamics=dynamics, horizon=5)
    assert np.isfinite(found.column("true_time_in_range")).all() == known
    assert np.isnan(found.column("true_time_in_range")).all() != known


def test_the_record_learns_how_sensitive_somebody_is() -> None:
    ids = people("test", 1000)
    env = TwinVectorEnv(WARFARIN, len(ids), dynamics="reference", autoreset="disabled")
    env.reset(seed=3, options={"twins": ids})
    for _ in range(60):
        env.step(np.full((len(ids), 1), -0.3))
    now, cohort = env.values(), env.cohort
    expected = Constants().typical(*(cohort.traits[name] for name in ("age", "cyp2c9", "vkorc1")))
    truth = -1.15 * np.log(cohort.hidden["half_effect"] / expected.half_effect)
    assert np.corrcoef(np.log(now["sensitivity"]), truth)[0, 1] > 0.9
    true = env.observed[:, TRUE]
    errors = [np.log(now[name] / true).std() for name in ("expected_inr", "smooth_inr", "inr")]
    assert errors[0] < 0.06 < errors[1] < errors[2]


# -- rules -------------------------------------------------------------------------------------------------------------


def now_of(**values: float) -> Values:
    usual = {"day": 0.0, "inr": 1.0, "age": 70.0, "height": 170.0, "weight": 80.0}
    genes = {"ancestry": float(EUROPEAN), "cyp2c9": 0.0, "vkorc1": 0.0}
    return Values({name: np.array([value]) for name, value in {**usual, **genes, **values}.items()})


def test_formulas_add_up() -> None:
    dosing = Dosing(Practice())

    def weekly(formula: str, race_terms: float = 1.0, **values: float) -> float:
        return round(7.0 * float(getattr(dosing, formula)(now_of(**values), race_terms)[0]), 2)

    # By hand from the printed coefficients: 4.0376 - 7 x 0.2546 + 170 x 0.0118 + 80 x 0.0134 = 5.3334, squared.
    assert weekly("clinical_dose") == 28.45
    assert weekly("clinical_dose", age=79.9) == 28.45  # whole decades
    assert weekly("clinical_dose", ancestry=AFRICAN) == round((5.3334 + 0.4060) ** 2, 2)
    assert weekly("clinical_dose", ancestry=EAST_ASIAN) == round((5.3334 - 0.6752) ** 2, 2)
    assert weekly("clinical_dose", 0.0, ancestry=EAST_ASIAN) == 28.45
    # 5.6044 - 7 x 0.2614 + 170 x 0.0087 + 80 x 0.0128 = 6.2776.
    assert weekly("genetic_dose") == 39.41
    assert weekly("genetic_dose", vkorc1=AA, cyp2c9=CYP2C9.index("*2/*3")) == round((6.2776 - 1.6974 - 1.9206) ** 2, 2)
    assert weekly("genetic_dose", vkorc1=GA, ancestry=AFRICAN) == round((6.2776 - 0.8677 - 0.2760) ** 2, 2)


def test_aurora_follows_its_table() -> None:
    rule = WARFARIN.rule("aurora")

    def doses(inrs: list[float], age: float = 70.0) -> list[float]:
        memory = {name: np.zeros(1) for name in rule.memory}
        return [
            float(rule.act(now_of(day=float(day), inr=inr, age=age), memory, rule.settings)["dose"][0])
            for day, inr in enumerate(inrs)
        ]

    assert doses([1.0, 1.0], age=40.0) == [10.0, 10.0]
    # The third day looks once: too low, so 5 x 1.15 for two days; in range on the fifth: the dose stays.
    assert doses([1.0, 1.2, 1.4, 9.9, 2.5]) == [5.0, 5.0, 6.0, 6.0, 6.0]
    assert doses([1.0, 1.2, 2.1, 2.0, 3.2, 9.9], age=40.0) == [10.0, 10.0, 5.0, 5.0, 4.5, 4.5]
    # At 4 to 5 two doses are left out and the next look is a week after.
    high = doses([1.0, 1.0, 2.0, 2.0, 4.5, 9.9, *[9.9] * 7, 2.5, 1.0])
    assert high[4:] == [0.0, 0.0, *[4.5] * 8, 5.0]
    # Above 5 nothing is given until it has fallen to 3, with a look every other day.
    flag = doses([1.0, 1.0, 2.0, 2.0, 6.0, 1.0, 4.0, 1.0, 2.9, 9.9, 9.9])
    assert flag[4:] == [0.0, 0.0, 0.0, 0.0, 4.0, 4.0, 4.0]
    # In range visits become rarer: after 1, 1 + 1, ... days; an INR between visits changes nothing.
    calm = doses([1.0, 1.0, 2.5, 2.5, *[2.5] * 2, 9.9, 9.9, 9.9, 9.9, 2.5, 9.9])
    assert calm[4:] == [5.0] * 8


def test_formulas_are_kept_or_adjusted() -> None:
    rule, memory = WARFARIN.rule("iwpc_genetic"), None
    for adjust, expected in ((0.0, 5.5), (1.0, 6.5)):
        memory = {name: np.zeros(1) for name in rule.memory}
        settings = rule.with_settings(adjust=adjust).settings
        given = [rule.act(now_of(day=float(day), inr=1.4), memory, settings)["dose"][0] for day in range(6)]
        assert given[:4] == [5.5] * 4
        assert given[4:] == [expected] * 2


def test_each_limit_is_broken_by_some_rule_and_all_are_kept_by_one() -> None:
    found = {}
    for name in ("fixed", "aurora", "model_based"):
        table = verdicts(evaluate(RulePolicy(WARFARIN, name), WARFARIN, people("test", 2000), dynamics="reference"))
        found[name] = dict(zip(table["name"], table["verdict"], strict=True))
    for constraint in WARFARIN.constraints:
        assert "fail" in (found["fixed"][constraint.name], found["aurora"][constraint.name]), constraint.name
    assert set(found["model_based"].values()) == {"pass"}


def test_race_terms_stand_in_for_genes_and_add_nothing_to_them() -> None:
    ids = people("test", 1500)

    def gap(rule: str, race_terms: float) -> float:
        policy = RulePolicy(WARFARIN, WARFARIN.rule(rule).with_settings(adjust=0.0, race_terms=race_terms))
        table = evaluate(policy, WARFARIN, ids, dynamics="reference").episodes
        means = table.groupby("ancestry")["time_in_range"].mean()
        return float(means.max() - means.min())

    assert gap("iwpc_clinical", 0.0) > gap("iwpc_clinical", 1.0) + 0.05
    assert gap("iwpc_genetic", 0.0) < gap("iwpc_genetic", 1.0)


# -- the reference as dynamics -----------------------------------------------------------------------------------------


def live(ids: np.ndarray, days: int = 20) -> np.ndarray:
    dynamics, empty = WARFARIN.reference(), np.zeros((len(ids), 0))
    noise = uniforms(0, ids, 0, Stream.DYNAMICS, np.arange(days + 1)[:, None], dynamics.noise_width)
    state, observed = dynamics.initial(WARFARIN.people.sample(ids), empty, noise[0])
    found = [observed]
    for day in range(days):
        state, observed = dynamics.step(state, 2.0 + observed[:, :1], empty, noise[day + 1])
        found.append(observed)
    return np.array(found)


def test_a_course_does_not_depend_on_company() -> None:
    together = live(np.arange(300))
    for few in ([7], [7, 250]):
        np.testing.assert_array_equal(live(np.array(few)), together[:, few])


def test_restart_and_take_leave_others_alone() -> None:
    dynamics, empty = WarfarinReference(Constants()), np.zeros((40, 0))
    cohort, new = WARFARIN.people.sample(np.arange(40)), WARFARIN.people.sample([900, 901])
    before = {name: values.copy() for name, values in cohort.hidden.items()}
    noise = uniforms(0, np.arange(40), 0, Stream.DYNAMICS, np.arange(3)[:, None], 1)
    state, _ = dynamics.initial(cohort, empty, noise[0])
    state, _ = dynamics.step(state, np.full((40, 1), 5.0), empty, noise[1])
    branch, kept = dynamics.take(state, np.array([3, 3, 12])), dynamics.take(state, np.arange(40))
    state, first = dynamics.restart(state, np.array([12, 5]), new, empty[:2], noise[0, :2])
    assert (first[:, TRUE] == 1.0).all()
    _, alone = dynamics.step(kept, np.full((40, 1), 5.0), empty, noise[2])
    _, after = dynamics.step(state, np.full((40, 1), 5.0), empty, noise[2])
    others = np.setdiff1d(np.arange(40), [5, 12])
    np.testing.assert_array_equal(after[others], alone[others])
    _, branched = dynamics.step(branch, np.full((3, 1), 5.0), empty[:3], noise[2, [3, 3, 12]])
    np.testing.assert_array_equal(branched, alone[[3, 3, 12]])
    for name, values in before.items():
        np.testing.assert_array_equal(cohort.hidden[name], values)


def test_every_constant_says_where_it_comes_from() -> None:
    assert set(WARFARIN.provenance) == {f.name for f in fields(Practice)}
    guessed = {name for name, parameter in WARFARIN.provenance.items() if parameter.source == "assumption"}
    assert guessed == {"ancestry_shares", "age_limits", "height_spread", "weight_spread"}
    assert all(constraint.source for constraint in WARFARIN.constraints)


def test_constants_can_be_varied() -> None:
    other = WARFARIN.vary(vkorc1_a_frequency=(0.5, 0.5, 0.5), genetic_race=(0.0, 0.0, 0.0))
    traits = other.people.sample(np.arange(9000)).traits
    for ancestry in range(len(ANCESTRIES)):
        assert traits["vkorc1"][traits["ancestry"] == ancestry].mean() == pytest.approx(1.0, abs=0.06)
    assert other.world_fingerprint() != WARFARIN.world_fingerprint()
    # By the numbers of formulas nobody moves: the twin model holds.
    assert WARFARIN.vary(genetic_race=(0.0, 0.0, 0.0)).world_fingerprint() == WARFARIN.world_fingerprint()
