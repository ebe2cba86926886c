"""How do courses become a Minari dataset, and a Minari dataset a table that scenarios are learned from?

Minari (`pip install twingym[minari]`) is where offline reinforcement learning keeps its data. Nothing is downloaded
here: a dataset is named that lies on this machine.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from twingym.scenarios.scenario import Scenario
from twingym.scenarios.step import Step, Values
from twingym.twins.courses import Courses
from twingym.twins.errors import SpecError
from twingym.twins.scales import Floats

if TYPE_CHECKING:
    import pandas as pd

PERSON, TIME, REWARD, ENDED = "person", "time", "reward", "ended"
ROOT = "MINARI_DATASETS_PATH"  # the environment variable that says where Minari keeps datasets


def _minari() -> Any:
    try:
        return import_module("minari")
    except ImportError as error:
        raise SpecError("Minari is not installed; `pip install twingym[minari]`.") from error


def write_minari(scenario: Scenario, courses: Courses, dataset_id: str, **metadata: Any) -> Any:
    """Write courses as a Minari dataset, one episode per person, all in physical units.

    Observations are a dictionary of the variables that a twin may know, NaN where missing; actions hold the delivered
    amounts (level numbers); infos the person and their traits. Rewards are the scenario's.

    Args:
        scenario: Whose courses these are.
        courses: N courses.
        dataset_id: Minari's name, such as ``clinic/recorded-v0``.
        **metadata: What else Minari keeps: ``author``, ``author_email``, ``code_permalink``, ``description``.

    Returns:
        The ``minari.MinariDataset``, which lies where Minari keeps datasets (``MINARI_DATASETS_PATH``). It is there
        whole or not at all.

    Raises:
        SpecError: If Minari is not installed, refuses the name, or holds such a dataset already; or if it cannot be
            written, on a full disk, say.
    """
    from gymnasium import spaces

    minari = _minari()
    buffer = import_module("minari.data_collector").EpisodeBuffer
    variables = {v.name: k for k, v in enumerate(scenario.variables) if v.seen_by("twin")}
    bounds = {v.name: v for v in scenario.variables}
    rewards = recorded_rewards(scenario, courses)
    episodes: list[Any] = []
    for row, steps in enumerate(courses.length.tolist()):
        if steps == 0:
            continue  # Minari knows no episode without a step
        observed = courses.observed[row, : steps + 1]
        ended = np.zeros(steps, dtype=bool)
        events = [k for k, v in enumerate(scenario.variables) if v.kind == "event"]
        ended[-1] = bool((observed[-1, events] > 0).any())
        infos = {PERSON: np.full(steps + 1, courses.ids[row])}
        infos |= {name: np.full(steps + 1, values[row]) for name, values in courses.traits.items()}
        episodes.append(
            buffer(
                id=len(episodes),
                observations={name: observed[:, k].astype(np.float32) for name, k in variables.items()},
                actions=courses.delivered[row, :steps].astype(np.float32),
                rewards=rewards[row, :steps].tolist(),
                terminations=ended.tolist(),
                truncations=(~ended & (np.arange(steps) == steps - 1)).tolist(),
                infos=infos,
            )
        )
    most = np.array([i.most for i in scenario.interventions], dtype=np.float32)

    def write() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about metadata that nobody gave
            minari.create_dataset_from_buffers(
                dataset_id,
                episodes,
                observation_space=spaces.Dict(
                    {name: spaces.Box(bounds[name].low, bounds[name].high, (), np.float32) for name in variables}
                ),
                action_space=spaces.Box(np.zeros_like(most), most, dtype=np.float32),
                **{"algorithm_name": "recorded", "description": scenario.title, **metadata},
            )

    try:
        _whole(dataset_id, write)
    except ValueError as error:
        raise SpecError(f"Minari refuses dataset {dataset_id!r} ({error}); choose another name.") from error
    except OSError as error:
        raise SpecError(
            f"Minari cannot write dataset {dataset_id!r} ({error}), and nothing of it was kept; make room, or set "
            f"{ROOT} to a folder that can be written, and write it again."
        ) from error
    return minari.load_dataset(dataset_id)


def _whole(dataset_id: str, write: Callable[[], None]) -> None:
    """Let Minari write a dataset in a hidden folder of its own, and move it to its place once it is whole.

    Minari knows the folder by an environment variable alone, so one dataset is written at a time.
    """
    place: Callable[..., Path] = import_module("minari.storage").get_dataset_path
    namespace = import_module("minari.dataset.minari_dataset").parse_dataset_id(dataset_id)[0]
    names = import_module("minari.namespace")
    root, final, before = place(), place(dataset_id), os.environ.get(ROOT)
    if final.exists():
        raise ValueError("it exists already")
    with TemporaryDirectory(prefix=".part-", dir=root) as part:
        os.environ[ROOT] = part
        try:
            write()
        finally:
            os.environ.pop(ROOT)
            os.environ.update({} if before is None else {ROOT: before})
        if namespace is not None and namespace not in names.list_local_namespaces():
            names.create_namespace(namespace)
        os.rename(Path(part, dataset_id), final)


def read_minari(dataset: Any) -> pd.DataFrame:
    """Return a Minari dataset as the long table that :func:`~twingym.scenarios.from_table` takes.

    Args:
        dataset: A ``minari.MinariDataset``, or the name of one on this machine.

    Returns:
        One row per episode and step: ``person`` (that of the infos, else the episode's number), ``time`` in steps,
        observations by name (a plain array: ``observation_0``, ...), ``action_0``, ... (empty in an episode's last
        row), whatever infos say of every step, ``reward``, and ``ended``, 1 where a termination ended it.

    Raises:
        SpecError: If Minari is not installed, or has no such dataset on this machine.
    """
    import pandas as pd

    if isinstance(dataset, str):
        minari = _minari()
        try:
            dataset = minari.load_dataset(dataset)
        except (FileNotFoundError, ValueError) as error:
            known = ", ".join(minari.list_local_datasets()) or "none"
            raise SpecError(f"there is no Minari dataset {dataset!r} on this machine; known: {known}.") from error
    frames = []
    for episode in dataset.iterate_episodes():
        steps = len(episode.rewards)
        columns: dict[str, Any] = {PERSON: np.full(steps + 1, episode.id), TIME: np.arange(steps + 1.0)}
        columns |= _flat("observation", episode.observations)
        columns |= {name: _longer(values, steps + 1) for name, values in _flat("action", episode.actions).items()}
        infos = {name: np.asarray(values) for name, values in (episode.infos or {}).items()}
        columns |= {name: values for name, values in infos.items() if values.shape == (steps + 1,)}
        columns[REWARD] = _longer(np.asarray(episode.rewards), steps + 1)
        columns[ENDED] = np.append(0.0, np.asarray(episode.terminations, dtype=np.float64))
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def _flat(name: str, values: Any) -> dict[str, Floats]:
    """Return an episode's values as columns: by name where they have one, else by number."""
    if isinstance(values, dict):
        return {key: column for inner, found in values.items() for key, column in _flat(inner, found).items()}
    block = np.asarray(values)
    if block.ndim == 1 and name not in ("observation", "action"):
        return {name: block}
    flat = block.reshape(len(block), -1)
    return {f"{name}_{k}": flat[:, k] for k in range(flat.shape[1])}


def _longer(values: Floats, rows: int) -> Floats:
    """Return values (T,) with NaN after them, (rows,)."""
    return np.append(np.asarray(values, dtype=np.float64), np.full(rows - len(values), np.nan))


def recorded_rewards(scenario: Scenario, courses: Courses) -> Floats:
    """Return the rewards of recorded steps, (N, T), NaN after the end: as the environment would have given them."""
    steps, keeping = courses.delivered.shape[1], scenario.bookkeeping
    found = np.full((len(courses), steps), np.nan)

    def known(t: int, memory: dict[str, Floats], inputs: bool) -> Values:
        values = Values({**courses.traits, **memory})
        values.update({v.name: courses.observed[:, t, k] for k, v in enumerate(scenario.variables)})
        if inputs:
            values.update({v.name: courses.inputs[:, t, k] for k, v in enumerate(scenario.inputs)})
        return values

    derived = {v.name for v in scenario.derived}
    memory: dict[str, Floats] = dict(keeping.start(known(0, {}, inputs=True))) if keeping else {}

    def told() -> dict[str, Floats]:
        return {name: values for name, values in memory.items() if name in derived}

    for t in range(steps):
        delivered = Values({i.name: courses.delivered[:, t, k] for k, i in enumerate(scenario.interventions)})
        before = known(t, told(), inputs=True)
        if keeping:
            memory = dict(keeping.update(memory, Step(before, delivered, known(t + 1, {}, inputs=False))))
        reward = scenario.reward(Step(before, delivered, known(t + 1, told(), inputs=False)))
        found[:, t] = np.where(t < courses.length, reward, np.nan)
    return found
