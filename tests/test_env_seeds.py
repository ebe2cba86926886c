"""Same seed, same everything; and a person's course depends on neither slot, nor batch, nor company."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from twingym.envs.rule_policy import RulePolicy
from twingym.envs.tape import NoiseTape
from twingym.envs.vector import TwinVectorEnv
from twingym.scenarios import get, load
from twingym.twins.cohort import people
from twingym.twins.noise import Stream, uniforms

GLUCOSE = get("Glucose-v0")
NUDGE = get(Path(__file__).parent / "nudge_scenario.py")
SCENARIOS = [pytest.param(GLUCOSE, id="Glucose"), pytest.param(NUDGE, id="Nudge")]
WORLDS = [
    *(
        pytest.param(s, d, id=f"{s.id}-{d}")
        for s in (GLUCOSE, get("Retention-v0"))
        for d in ("reference", "transformer")
    ),
    pytest.param(NUDGE, "reference", id="Nudge-reference"),
    pytest.param(load(Path(__file__).parent.parent / "docs" / "my_scenario.py"), "reference", id="tutorial"),
]
RULES = {
    "Glucose-v0": "low_glucose_suspend",
    "Retention-v0": "blanket",
    "Nudge-v0": "always",
    "Theophylline-v0": "by_level",
}


def live(env, steps, seed=None, options=None, factor=1.0):
    """Return everything that an env says over some steps under a rule, as one list of arrays."""
    observations, infos = env.reset(seed=seed, options=options)
    said = [observations, infos["twin"]]
    settings = {"carb_factor": 500.0 * factor} if env.scenario is GLUCOSE else {}
    policy, state = RulePolicy(env.scenario, RULES[env.scenario.id], settings), None
    for _ in range(steps):
        actions, state = policy.predict(observations, state)
        observations, rewards, terminated, truncated, infos = env.step(actions)
        said += [
            observations,
            rewards,
            terminated,
            truncated,
            infos["costs"],
            infos["delivered"],
            infos["twin"],
            env.observed,
        ]
    return said


def same(one, other) -> bool:
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("scenario", "dynamics"), WORLDS)
@pytest.mark.parametrize("autoreset", ["same_step", "next_step"])
def test_one_seed_gives_one_history_through_autoresets(scenario, dynamics, autoreset) -> None:
    def env():
        return TwinVectorEnv(scenario, 6, dynamics=dynamics, horizon=10, autoreset=autoreset)

    used = env()
    live(used, 7, seed=99)
    first, again, other = live(env(), 35, seed=5), live(used, 35, seed=5), live(env(), 35, seed=6)
    assert used.episode.min() >= 2
    assert same(first, again)
    assert not same(first, other)


def test_a_reset_without_a_seed_goes_on_to_new_people() -> None:
    env, twin = (TwinVectorEnv(GLUCOSE, 6, dynamics="reference") for _ in range(2))
    first, second = live(env, 3, seed=5), live(env, 3)
    assert not set(first[1].tolist()) & set(second[1].tolist())
    assert env.episode.tolist() == [1] * 6
    live(twin, 3, seed=5)
    assert same(second, live(twin, 3))


def test_the_same_people_again_have_other_luck() -> None:
    env = TwinVectorEnv(GLUCOSE, 2, dynamics="reference")
    options = {"twins": [3, 4]}
    first, second = live(env, 3, 5, options), live(env, 3, None, options)
    np.testing.assert_array_equal(first[1], second[1])
    assert not np.array_equal(first[0], second[0])
    third = live(TwinVectorEnv(GLUCOSE, 2, dynamics="reference"), 3, 5, {**options, "episode": 1})
    assert same(second, third)


def test_without_any_seed_two_envs_differ() -> None:
    one, other = (TwinVectorEnv(GLUCOSE, 6, dynamics="reference") for _ in range(2))
    assert not same(live(one, 1), live(other, 1))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_course_is_bitwise_the_same_in_any_batch_position_and_shard(scenario) -> None:
    ids = people("test", 64)
    rng = np.random.default_rng(0)

    def courses(order, size):
        """Return observations, rewards and costs over time, by twin, lived in batches of ``size``."""
        found = {}
        for start in range(0, len(order), size):
            shard = order[start : start + size]
            env = TwinVectorEnv(scenario, len(shard), dynamics="reference", horizon=100, autoreset="disabled")
            said = live(env, 100, 7, {"twins": shard}, factor=0.5)
            for slot, twin in enumerate(shard):
                steps = [s[slot] for s in said]
                found[int(twin)] = steps
        return found

    whole = courses(ids, 64)
    some = rng.permutation(ids)[:20]
    for size in (1, 7):
        apart = courses(some, size)
        for twin in some:
            assert same(whole[int(twin)], apart[int(twin)]), (twin, size)
    shuffled = courses(rng.permutation(ids), 64)
    assert all(same(whole[int(twin)], shuffled[int(twin)]) for twin in ids)


def test_a_course_begun_by_autoreset_is_the_one_begun_by_reset() -> None:
    """Restarted rows, with their own noise, inputs and counters, equal a batch that starts there."""
    ids = people("test", 5)
    env = TwinVectorEnv(NUDGE, 5, dynamics="reference", autoreset="same_step")
    observations, _ = env.reset(seed=3, options={"twins": ids})
    policy, courses = RulePolicy(NUDGE, "always"), {}
    for _ in range(60):
        slots = list(zip(ids.tolist(), env.episode.tolist(), strict=True))
        before, (observations, rewards, *_, infos) = observations, env.step(policy.predict(observations)[0])
        for slot, key in enumerate(slots):
            courses.setdefault(key, []).append((before[slot], rewards[slot], infos["costs"][slot]))
    assert env.episode.min() >= 3
    assert len(set(env.t.tolist())) > 1  # they have drifted apart
    alone = TwinVectorEnv(NUDGE, 1, dynamics="reference", autoreset="disabled")
    for twin, episode in list(courses)[:25]:
        observations, _ = alone.reset(seed=3, options={"twins": [twin], "episode": episode})
        for before, reward, costs in courses[twin, episode]:
            np.testing.assert_array_equal(before, observations[0])
            observations, rewards, *_, infos = alone.step(policy.predict(observations)[0])
            assert rewards[0] == reward
            np.testing.assert_array_equal(infos["costs"][0], costs)


def test_two_policies_meet_the_same_people_in_every_slot_and_episode() -> None:
    def met(action):
        env = TwinVectorEnv(NUDGE, 5, dynamics="reference")
        env.reset(seed=8)
        found = {}
        for _ in range(40):
            found.update(
                {(slot, int(e)): int(i) for slot, (e, i) in enumerate(zip(env.episode, env.cohort.ids, strict=True))}
            )
            env.step(np.full(5, action))
        return found

    nothing, calls = met(0), met(2)
    both = set(nothing) & set(calls)
    assert len(both) >= 15
    assert all(nothing[key] == calls[key] for key in both)


def test_the_tape_reads_the_declared_numbers() -> None:
    ids, episode = np.array([4, 9, 2]), np.array([0, 1, 5])
    tape = NoiseTape(12, 3, ids, episode)
    np.testing.assert_array_equal(tape.birth(), uniforms(12, ids, episode, Stream.DYNAMICS, 0, 3))
    for step in range(1, 101):
        np.testing.assert_array_equal(tape.read(), uniforms(12, ids, episode, Stream.DYNAMICS, step, 3))
    born = tape.restart(np.array([1]), np.array([7]), np.array([2]))
    np.testing.assert_array_equal(born, uniforms(12, [7], [2], Stream.DYNAMICS, 0, 3))
    for later in range(1, 101):
        row = tape.read()
        np.testing.assert_array_equal(row[1], uniforms(12, 7, 2, Stream.DYNAMICS, later, 3))
        np.testing.assert_array_equal(row[2], uniforms(12, 2, 5, Stream.DYNAMICS, 100 + later, 3))
