"""What do policies know of people when readings err, come late or never, and is a belief worth its name?"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gymnasium.utils.env_checker import check_env
from tests.command_line import twingym
from tests.level_scenario import GAIN, KEEPS, MOVES, LevelReference

from twingym.envs import Belief, Readings, RulePolicy, SB3VecEnv, TwinEnv, TwinVectorEnv
from twingym.envs.guessed_inputs import GuessedInputs
from twingym.evaluation import evaluate
from twingym.experiments.run_dir import RunDir
from twingym.scenarios import get
from twingym.scenarios.glucose.meals import COUNTING_ERROR
from twingym.twins import people
from twingym.twins.cohort import Cohort
from twingym.twins.errors import SpecError, UnknownNameError

HERE = Path(__file__).parent
LEVEL = get(HERE / "level_scenario.py")
KNOWN = Belief(particles=200, model=LevelReference())
BROKEN = {"error": {"level": 1.5}, "missing": 0.4, "gap": 3.0, "late": 2}
STEPS = 40


def lived(readings: Readings | None, count: int = 60, dose: float = 0.0, steps: int = STEPS, seed: int = 3):
    """Return what is true and what is known, (steps + 1, N), the age of that (steps, N), and whose course lasted."""
    env = TwinVectorEnv(LEVEL, count, dynamics="reference", autoreset="disabled", readings=readings, people="test")
    env.reset(seed=seed)
    truth, known, age = [env.observed[:, 0]], [env.values()["level"]], []
    for _ in range(steps):
        *_, infos = env.step(np.full((count, 1), dose))
        truth.append(env.observed[:, 0])
        known.append(env.values()["level"])
        age.append(infos["reading_age"] if readings else np.zeros(count))
    lasted = ~env._ledger.terminated
    return np.array(truth), np.array(known), np.array(age), lasted


def error(readings: Readings | None) -> float:
    truth, known, _, lasted = lived(readings)
    return float(np.sqrt(np.square(known - truth)[5:, lasted].mean()))


@pytest.mark.parametrize("name", ["Glucose-v0", "Sepsis-v0", "Retention-v0", "nudge_scenario.py", "ward_scenario.py"])
def test_perfect_readings_are_no_readings(name):
    """All bits are those of the plain env, through ends and new beginnings."""
    scenario = get(HERE / name if name.endswith(".py") else name)
    believes = [Belief(particles=4)] if name in ("Glucose-v0", "Sepsis-v0") else []
    horizon = 6 if scenario.horizon > 20 else scenario.horizon
    found = []
    for readings in (None, Readings(), *(Readings(belief=b) for b in believes)):
        env = TwinVectorEnv(scenario, 5, dynamics="reference", horizon=horizon, readings=readings)
        env.action_space.seed(0)
        observations, _ = env.reset(seed=1)
        said = [observations]
        for _ in range(horizon + 4):
            observations, rewards, terminated, truncated, infos = env.step(env.action_space.sample())
            assert readings is None or not infos.pop("reading_age").any()
            said += [observations, rewards, infos["costs"], terminated | truncated]
            if "final_obs" in infos:
                said += [row for row in infos["final_obs"] if row is not None]
        found.append(said)
    for other in found[1:]:
        for mine, theirs in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_a_belief_is_nearer_to_the_truth_than_the_last_reading():
    last, believed = error(Readings(**BROKEN)), error(Readings(**BROKEN, belief=KNOWN))
    assert believed < 0.8 * last
    never_late = error(Readings(**{**BROKEN, "late": 0}, belief=KNOWN))
    assert never_late < believed


def test_a_belief_about_levels_is_right_more_often_than_the_last_reading():
    """Vital signs of Sepsis, believed by the twin model, while patients live by the reference."""
    signs = ("heart_rate", "blood_pressure", "oxygen", "glucose")
    bad, wrong = {"error": dict.fromkeys(signs, 0.1), "missing": 0.3, "late": 1}, []
    for belief in (None, Belief(64)):
        readings = Readings(**bad, belief=belief)
        env = TwinVectorEnv("Sepsis-v0", 100, dynamics="reference", autoreset="disabled", readings=readings)
        rule, missed = RulePolicy(env.scenario, "until_well"), []
        observations, _ = env.reset(seed=0)
        for _ in range(8):
            observations, *_ = env.step(rule.predict(observations)[0])
            known = np.stack([env.values()[name] for name in signs], axis=-1)
            assert (known == np.rint(known)).all()
            missed.append((known != env.observed[:, : len(signs)])[~env.over])
        wrong.append(np.concatenate(missed).mean())
    assert wrong[1] < 0.8 * wrong[0]


def test_a_belief_is_that_of_an_exact_kalman_filter():
    """Kalman 1960, on the readings that the policy without a belief is shown."""
    readings, dose = {"error": {"level": 1.5}, "missing": 0.3}, 0.1
    _, shown, age, lasted = lived(Readings(**readings), dose=dose)
    _, believed, _, _ = lived(Readings(**readings, belief=Belief(2000, model=LevelReference())), dose=dose)
    mean, variance = np.zeros(len(lasted)), np.full(len(lasted), 4.0)
    for t in range(STEPS + 1):
        if t:
            mean = KEEPS * mean + GAIN * 4.0 * dose
            variance = KEEPS**2 * variance + MOVES**2
        read = (age[t - 1] == 0) if t else np.ones(len(lasted), bool)
        share = np.where(read, variance / (variance + 1.5**2), 0.0)
        mean, variance = mean + share * (shown[t] - mean), (1.0 - share) * variance
        np.testing.assert_allclose(believed[t, lasted], mean[lasted], atol=0.5)  # of a deviation of up to 2
        assert np.abs(believed[t, lasted] - mean[lasted]).mean() < 0.05


def test_late_readings_are_used_when_they_arrive():
    truth, known, age, lasted = lived(Readings(missing=0.3, late=4))
    t = np.arange(1, STEPS + 1)[:, None]
    was = np.take_along_axis(truth, t - age, axis=0)
    np.testing.assert_array_equal(known[1:, lasted], was[:, lasted])
    assert (np.diff(age, axis=0)[:, lasted] <= 1).all()  # nobody is told what is older than what is known
    assert set(np.unique(age)) >= {0, 1, 2, 3, 4}
    # A belief makes more of readings that come four steps late than of those that never come.
    late = error(Readings({"level": 1.5}, 0.0, None, 4, KNOWN))
    assert late < 0.9 * error(Readings({"level": 1.5}, 0.8, None, 0, KNOWN))


def test_as_many_readings_are_missing_for_as_long_as_asked():
    _, _, age, _ = lived(Readings(missing=0.3, gap=5.0), count=800)
    gone = age[:, :] > 0
    assert gone.mean() == pytest.approx(0.3, abs=0.02)
    begins = gone & ~np.vstack([np.zeros((1, 800), bool), gone[:-1]])
    assert gone.sum() / begins.sum() == pytest.approx(5.0, rel=0.15)  # cut at the end
    _, _, age, _ = lived(Readings(missing=0.3), count=800)
    gone = age > 0
    assert gone.mean() == pytest.approx(0.3, abs=0.02)
    assert gone[1:][gone[:-1]].mean() == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("belief", [None, Belief(16, model=LevelReference())])
def test_company_does_not_matter(belief):
    rule, readings = RulePolicy(LEVEL, "against"), Readings(**BROKEN, belief=belief)
    together = evaluate(rule, LEVEL, people("test", 7), (0, 1), "reference", readings=readings)
    apart = evaluate(rule, LEVEL, people("test", 7)[::-1], (0, 1), "reference", readings=readings, batch=2)
    keys = ["seed", "twin"]
    frames = [e.episodes.sort_values(keys).reset_index(drop=True) for e in (together, apart)]
    pd.testing.assert_frame_equal(*frames, check_exact=True)
    exact = evaluate(rule, LEVEL, people("test", 7), (0, 1), "reference")
    assert exact.episodes["return"].mean() > together.episodes["return"].mean()
    assert together.settings["readings"]["late"] == 2
    assert exact.settings["readings"] is None


def test_a_belief_by_the_twin_model_is_the_same_in_any_company():
    glucose = get("Glucose-v0")
    readings = Readings({"cgm": 15.0}, 0.3, None, 1, Belief(8))
    rule = RulePolicy(glucose, "closed_loop")
    told = [
        evaluate(rule, glucose, people("test", 3), dynamics=d, horizon=20, readings=readings, batch=b).episodes[
            "return"
        ]
        for d in ("transformer", "reference")
        for b in (1, 3)
    ]
    np.testing.assert_array_equal(told[0], told[1])
    np.testing.assert_array_equal(told[2], told[3])
    assert (told[0] != told[2]).all()


def test_newcomers_are_known_as_if_nobody_had_sat_there():
    """People leave by an event, others take their slot; each is known as in an env of their own."""
    readings = Readings(**BROKEN, belief=Belief(12, model=LevelReference()))
    env = TwinVectorEnv(LEVEL, 4, dynamics="reference", horizon=15, readings=readings)
    env.reset(seed=8)
    who, told = [], []
    for _ in range(40):
        who.append(np.stack([env.cohort.ids, env.episode, env.t]))
        told.append(env.values()["level"])
        env.step(np.ones((4, 1)))
    who, told = np.array(who), np.array(told)
    assert len(np.unique(who[:, 0])) > 8
    assert (who[-1, 1] > 2).any()  # somebody left before the horizon
    for slot in range(4):
        for episode in np.unique(who[:, 1, slot]):
            here = who[:, 1, slot] == episode
            alone = TwinEnv(LEVEL, dynamics="reference", horizon=15, readings=readings)
            alone.reset(seed=8, options={"twins": who[here, 0, slot][:1], "episode": int(episode)})
            for value in told[here, slot]:
                assert alone.twins.values()["level"][0] == value
                alone.step(np.ones(1))


def test_counters_count_what_is_known_and_rewards_what_is_true():
    env = TwinVectorEnv(LEVEL, 6, dynamics="reference", readings=Readings({"level": 1.5}, 0.5), autoreset="disabled")
    plain = TwinVectorEnv(LEVEL, 6, dynamics="reference", autoreset="disabled")
    observations, _ = env.reset(seed=2)
    plain.reset(seed=2)
    for _ in range(10):
        before = env.values()["level"]
        observations, rewards, *_, infos = env.step(np.zeros((6, 1)))
        _, wanted, *_, told = plain.step(np.zeros((6, 1)))
        np.testing.assert_array_equal(rewards, wanted)
        np.testing.assert_array_equal(infos["costs"], told["costs"])
        np.testing.assert_allclose(env.values()["rise"], env.values()["level"] - before)
        np.testing.assert_allclose(env.layout.decode(observations)["level"], env.values()["level"], atol=1e-4)
    assert np.abs(env.values()["level"] - plain.values()["level"]).max() > 0.5


def test_what_is_seldom_measured_is_known_when_its_reading_arrives():
    ward = get(HERE / "ward_scenario.py")
    seldom = next(v.name for v in ward.variables if v.intermittent)
    env = TwinVectorEnv(ward, 40, dynamics="reference", autoreset="disabled", readings=Readings(missing=0.5))
    env.reset(seed=0)
    lost = 0
    for _ in range(10):
        observations, *_, infos = env.step(env.action_space.sample())
        told, true = env.values()[seldom], env.audit_values()[seldom]
        here = (infos["reading_age"] == 0) & ~env.over
        np.testing.assert_array_equal(told[here], true[here])
        gone = (infos["reading_age"] > 0) & ~env.over
        assert np.isnan(told[gone]).all()
        lost += int(np.isfinite(true[gone]).sum())
        assert np.isnan(env.layout.decode(observations)[seldom][gone]).all()
    assert lost > 0


def test_particles_guess_the_meals_that_are_announced():
    class Eats:
        """Says how much was eaten so far."""

        noise_width = 0

        def initial(self, cohort, inputs, noise):
            return np.zeros(len(cohort)), np.zeros((len(cohort), 1))

        def step(self, state, action, inputs, noise):
            state = state + inputs[:, 0]
            return state, state[:, None]

        def take(self, state, rows):
            return state[rows]

    glucose = get("Glucose-v0")
    guessed = GuessedInputs(Eats(), glucose.guess_inputs)
    u = (np.arange(2000) + 0.5) / 2000
    state, _ = guessed.initial(Cohort(np.arange(2000), {}), np.full((2000, 2), np.nan), u[:, None])
    for t in range(8):
        announced = np.stack([np.full(2000, np.nan), np.full(2000, 60.0 if t == 1 else 0.0)], axis=1)
        state, seen = guessed.step(state, np.zeros((2000, 1)), announced, u[:, None])
        if t == 0:
            assert not seen.any()
    eaten = seen[:, 0]
    assert np.median(eaten) == pytest.approx(60.0, rel=0.01)
    assert np.std(60.0 / eaten) == pytest.approx(COUNTING_ERROR, rel=0.05)


def test_other_envs_take_readings_too():
    readings = Readings(**BROKEN, belief=Belief(4, model=LevelReference()))
    env = SB3VecEnv(LEVEL, 3, dynamics="reference", readings=readings, infos="full")
    env.reset()
    _, _, _, infos = env.step(np.zeros((3, 1)))
    assert all(info["reading_age"] in (0, 1) for info in infos)
    check_env(TwinEnv(LEVEL, dynamics="reference", readings=readings), skip_render_check=True)


def test_what_cannot_be_is_refused():
    def env(readings: Readings, name: str = "Retention-v0") -> TwinVectorEnv:
        return TwinVectorEnv(name, 2, dynamics="reference", readings=readings)

    with pytest.raises(SpecError, match=r"missing is 1.0; allowed: a share"):
        Readings(missing=1.0)
    with pytest.raises(SpecError, match=r"gap is 1.5 steps; allowed: 4 or more where 0.8 of all readings"):
        Readings(missing=0.8, gap=1.5)
    with pytest.raises(SpecError, match="late is -1 steps"):
        Readings(late=-1)
    with pytest.raises(SpecError, match="particles is 1; allowed: 2 or more"):
        Belief(1)
    with pytest.raises(UnknownNameError, match="cgm"):
        env(Readings({"cmg": 1.0}), "Glucose-v0")
    with pytest.raises(SpecError, match=r"error of 'cgm' is -1.0; allowed: 0 or a positive number of mg/dL"):
        env(Readings({"cgm": -1.0}), "Glucose-v0")
    with pytest.raises(SpecError, match=r"is of kind count. Show policies the last reading"):
        env(Readings(belief=Belief()))
    with pytest.raises(SpecError, match=r"of kind count, is 1.0; allowed: 0"):
        env(Readings({"purchases": 1.0}))
    made = TwinVectorEnv("Glucose-v0", 1, readings=Readings(), autoreset="disabled")
    from twingym.envs.behaviour import collect

    with pytest.raises(SpecError, match="history'] with readings"):
        made.reset(options={"history": collect("Glucose-v0", people("test", 1), 0, horizon=3)})


def test_readings_on_the_command_line(tmp_path, capsys):
    bad = ("--missing", "0.3", "--gap", "2", "--late", "1", "--dynamics", "reference")
    words = ("train", "--env", str(HERE / "level_scenario.py"), "--error", "level:1.5", *bad, "--n-envs", "4")
    few = ("--n-timesteps", "32", "--hyperparams", "n_steps:8", "batch_size:32", "--eval-people", "0")
    assert twingym(*words, *few, "--out", str(tmp_path / "train")) == 0
    assert RunDir.open(tmp_path / "train").config["args"]["error"] == ["level:1.5"]
    judge = ("evaluate", "--rule", "closed_loop", "--error", "cgm:15", *bad, "--people", "4", "--horizon", "6")
    assert twingym(*judge, "--belief", "particles", "--particles", "8", "--out", str(tmp_path / "judged")) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "shown: what 8 particles believe (0.3 of them missing, in gaps of 2 steps, up to 1 steps late, an" in said
    settings = json.loads(next((tmp_path / "judged").rglob("*settings*.json")).read_text())
    assert settings["readings"]["particles"] == 8
    assert settings["readings"]["error"] == {"cgm": 15.0}
    for wrong, told in (
        (("--belief", "particles"), "readings are complete, punctual and without further error"),
        (("--error", "cgm=15"), "allowed: variable:number"),
    ):
        assert twingym("evaluate", "--rule", "pid", *wrong, "--out", str(tmp_path / "none")) == 2
        assert told in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "none").exists()
