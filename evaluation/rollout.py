"""What does a policy do to chosen people: exactly one episode per person and seed, the same luck for every policy."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike

from twingym.envs.asked_traits import fixed_in_numbers
from twingym.envs.dynamics import resolve
from twingym.envs.readings import Readings
from twingym.envs.vector import TwinVectorEnv
from twingym.evaluation.courses import CourseMoments, Courses, MomentKeeper, Recorder
from twingym.evaluation.episodes import Evaluation
from twingym.evaluation.tally import Tally
from twingym.scenarios.registry import get
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Ids, checked_ids
from twingym.twins.courses import Courses as RecordedCourses
from twingym.twins.dynamics import Dynamics
from twingym.twins.errors import CohortError, SpecError

if TYPE_CHECKING:
    import pandas as pd

BATCH = 2048
_TOLD = ("twingym", "numpy", "gymnasium", "torch", "stable-baselines3")
Tick = Callable[[int], None]
CoursesWanted = Literal[False, True, "moments"]


class Policy(Protocol):
    """Anything with SB3's ``predict``. If it also has ``meet(cohort)``, that is called before each episode."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, Any]:
        """Choose actions (N, ...) for scaled observations (N, D)."""
        ...


def evaluate(
    policy: Policy,
    scenario: Scenario | str | Path,
    ids: ArrayLike,
    seeds: Sequence[int] = (0,),
    dynamics: str | Dynamics = "reference",
    *,
    weights: str | Path | None = None,
    name: str | None = None,
    horizon: int | None = None,
    courses: CoursesWanted = False,
    batch: int = BATCH,
    episode: int = 0,
    fixed: Mapping[str, float | str] | None = None,
    baseline_episodes: pd.DataFrame | None = None,
    deterministic: bool = True,
    progress: bool = False,
    readings: Readings | None = None,
) -> Evaluation:
    """Let a policy treat chosen people, once per person and seed.

    Inputs and noise are functions of seed, person and episode number: every policy meets the same people with the same
    luck, in whatever batches they come.

    Args:
        policy: Anything with SB3's ``predict`` on scaled observations.
        scenario: A scenario, its id, or the path of its file.
        ids: People, each once; ``people("test", 500)`` gives held-out ones.
        seeds: Seeds of inputs and noise.
        dynamics: ``reference``, ``transformer``, ``challenger``, or an object.
        weights: Folder of the twin model, whose subfolder ``challenger`` holds the challenger; the scenario's own if
            None.
        name: What to call the policy in tables; its own ``name``, else its class, if None.
        horizon: Steps; the scenario's ``judged_horizon`` if None.
        courses: ``True`` keeps everybody's course, ``"moments"`` what groups have in common and the worst cases.
        batch: The most people at a time.
        episode: Number of the episode: other numbers are other days of the same people.
        fixed: Traits to impose on everybody, numbers or names of levels.
        baseline_episodes: ``episodes`` of the baseline on the same people and seeds; adds the column ``gain``.
        deterministic: Passed to ``predict``.
        progress: Whether to show a progress bar.
        readings: How readings reach the policy; None: at once, all and without further error.

    Raises:
        CohortError: If somebody is named twice, or the baseline lacks somebody.
        SpecError: If a number is impossible.
    """
    import pandas as pd

    found = scenario if isinstance(scenario, Scenario) else get(scenario)
    people = checked_ids(ids)
    if len(np.unique(people)) != len(people):
        raise CohortError(f"ids name {len(people) - len(np.unique(people))} people twice; allowed: each person once.")
    steps = found.judged_horizon if horizon is None else horizon
    check_numbers(seeds, horizon=steps, batch=batch)
    steps = int(steps)
    if courses not in (True, False, "moments"):
        raise SpecError(f"courses is {courses!r}; allowed: True, False or 'moments'.")
    imposed = fixed_in_numbers(found, fixed or {})
    mover = resolve(found, dynamics, weights)
    title = name or getattr(policy, "name", None) or type(policy).__name__
    place = dynamics if isinstance(dynamics, str) else type(dynamics).__name__

    most = batch if readings is None else readings.most_people(batch)
    shards = np.array_split(people, -(-len(people) // most))
    frames: list[pd.DataFrame] = []
    kept: list[Courses] = []
    keeper = MomentKeeper(found)
    with _bar(f"{title} on {place}", steps * len(shards) * len(seeds), progress) as tick:
        for seed in seeds:
            for shard in shards:
                visit = Visit(found, mover, shard, int(seed), steps, episode, imposed, readings=readings)
                tally, written = play(policy, visit, record=bool(courses), deterministic=deterministic, tick=tick)
                frame = tally.frame()
                frame.insert(0, "seed", int(seed))
                frames.append(frame)
                if written is not None and courses == "moments":
                    labels = {trait: frame[trait].to_numpy(dtype=str) for trait in found.groups}
                    keeper.add(written, labels, tally.total(f"cost_{found.primary.name}"))
                elif written is not None:
                    kept.append(written)
    episodes = pd.concat(frames, ignore_index=True)
    episodes.insert(0, "dynamics", place)
    episodes.insert(0, "policy", title)
    if baseline_episodes is not None:
        episodes["gain"] = episodes["return"] - _paired(episodes, baseline_episodes)
    settings = {
        "scenario": found.id,
        "fingerprint": found.fingerprint(),
        "limits_hash": found.limits_hash(),
        "policy": title,
        "dynamics": place,
        "people": len(people),
        "ids_hash": hashlib.sha256(np.sort(people).astype("<i8").tobytes()).hexdigest()[:16],
        "seeds": [int(s) for s in seeds],
        "episode": episode,
        "horizon": steps,
        "fixed": imposed,
        "deterministic": deterministic,
        "readings": None if readings is None else readings.described(),
        "versions": _versions(),
    }
    over_time: Courses | CourseMoments | None = Courses.join(kept) if kept else None
    return Evaluation(found, episodes, settings, keeper.moments() if courses == "moments" else over_time)


@dataclass(frozen=True)
class Visit:
    """Which people are treated, when and for how long.

    Attributes:
        scenario: The problem.
        dynamics: What moves the people.
        twins: Who sits in each slot, shape (N,); the same person may sit in several.
        seed: Seed of inputs and noise.
        horizon: Steps.
        episode: Number of the episode, or one per slot.
        fixed: Imposed traits.
        history: Recorded courses, one per slot, after which the steps begin; None to begin at birth.
        readings: How readings reach the policy; None: at once, all and without further error.
    """

    scenario: Scenario
    dynamics: Dynamics
    twins: Ids
    seed: int
    horizon: int
    episode: int | Ids = 0
    fixed: Mapping[str, float] = field(default_factory=dict)
    history: RecordedCourses | None = None
    readings: Readings | None = None

    def env(self) -> TwinVectorEnv:
        """Return an env that lasts long enough; time left is counted to the scenario's end, if it has one."""
        past = 0 if self.history is None else int(self.history.length.max())
        ends = self.scenario.ending == "end" and past > 0
        horizon = max(self.scenario.judged_horizon, past + 1) if ends else past + self.horizon
        people = len(self.twins)
        settings: dict[str, Any] = {"dynamics": self.dynamics, "horizon": horizon, "readings": self.readings}
        return TwinVectorEnv(self.scenario, people, autoreset="disabled", **settings)

    def options(self) -> dict[str, Any]:
        """Return the options of the env's reset."""
        if self.history is not None:
            return {"history": self.history, "episode": self.episode}
        return {"twins": self.twins, "episode": self.episode, "fixed": dict(self.fixed)}


def play(
    policy: Policy,
    visit: Visit,
    *,
    record: bool = False,
    deterministic: bool = True,
    tick: Tick | None = None,
    memory: Any = None,
) -> tuple[Tally, Courses | None]:
    """Live through one episode of everybody in a visit, as one batch.

    Args:
        policy: Anything with ``predict``.
        visit: Who, when and for how long.
        record: Whether to keep the courses.
        deterministic: Passed to ``predict``.
        tick: Called with the number of steps made since the last call.
        memory: What the policy remembers of the visit's history; None to begin with an empty memory.

    Returns:
        The sums, and the courses if they were to be kept.
    """
    people = len(visit.twins)
    env = visit.env()
    observations, _ = env.reset(seed=visit.seed, options=visit.options())
    if hasattr(policy, "meet"):
        policy.meet(env.cohort)
    tally = Tally(visit.scenario, env.cohort)
    recorder = Recorder(visit.scenario, people, visit.horizon) if record else None
    if recorder is not None:
        recorder.birth(env.audit_values())
    state, starts = memory, env.t == 0
    live, last = np.ones(people, bool), None
    for t in range(visit.horizon):
        actions, state = policy.predict(observations, state=state, episode_start=starts, deterministic=deterministic)
        actions = np.asarray(actions)
        if last is not None and not live.all():
            actions = np.where(live.reshape(-1, *[1] * (actions.ndim - 1)), actions, last)
        observations, rewards, terminated, truncated, infos = env.step(actions)
        step = env.audit_step
        if step is None:  # pragma: no cover - there is one after every step
            raise SpecError("the environment made no step.")
        tally.add(step, rewards, infos, live)
        if recorder is not None:
            recorder.note(t, step, live)
        tally.terminated |= terminated & live
        live = live & ~(terminated | truncated)
        last, starts = actions, np.zeros(people, bool)
        if tick is not None:
            tick(1 if live.any() else visit.horizon - t)
        if not live.any():
            break
    return tally, recorder.courses(visit.twins, visit.seed) if recorder is not None else None


def check_numbers(seeds: Sequence[int], **counts: int) -> None:
    """Refuse counts that are not whole or below 1, and seeds that are none, negative or repeated.

    Raises:
        SpecError: Naming the number.
    """
    for what, number in counts.items():
        if number < 1:
            raise SpecError(f"{what} is {number}; allowed: 1 or more.")
        if number % 1:
            raise SpecError(f"{what} is {number}; allowed: a whole number, 1 or more.")
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise SpecError(f"seeds are {list(seeds)}; allowed: one or more whole numbers from 0, each once.")


def _paired(episodes: pd.DataFrame, baseline: pd.DataFrame) -> Any:
    """Return the baseline's return for each row of ``episodes``."""
    keys = ["seed", "twin"]
    merged = episodes[keys].merge(baseline[[*keys, "return"]], on=keys, how="left", validate="one_to_one")
    if merged["return"].isna().any():
        row = merged[merged["return"].isna()].iloc[0]
        raise CohortError(
            f"baseline_episodes lack twin {int(row['twin'])} under seed {int(row['seed'])}; "
            "allowed: the same people and seeds."
        )
    return merged["return"].to_numpy()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _TOLD:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@contextmanager
def _bar(title: str, steps: int, shown: bool) -> Iterator[Tick | None]:
    """Show a progress bar over ``steps``, if it is to be shown."""
    if not shown:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    title_column, unit_column = TextColumn("{task.description}"), TextColumn("steps")
    with Progress(title_column, BarColumn(), MofNCompleteColumn(), unit_column, TimeRemainingColumn()) as bar:
        task = bar.add_task(title, total=steps)
        yield lambda made: bar.advance(task, made)
