"""How do many twins live through their episodes at once? The other envs are views of this one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Discrete
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from twingym.envs.actions import ActionMap, Actions
from twingym.envs.autoreset import Autoreset, AutoresetMode, autoreset_mode
from twingym.envs.batch import Batch
from twingym.envs.doubt import Doubt
from twingym.envs.dynamics import resolve
from twingym.envs.enforcement import Enforcement, Flags
from twingym.envs.history import check_goes_on, relive
from twingym.envs.infos import Infos, final_infos, masked, step_infos
from twingym.envs.layout import Observation, ObservationLayout, Observations
from twingym.envs.ledger import Ledger
from twingym.envs.live import Live, believer
from twingym.envs.moment import Reading
from twingym.envs.newcomers import Newcomers, checked_pool
from twingym.envs.reactions import Reactions
from twingym.envs.readings import Readings
from twingym.envs.render import Film, Image
from twingym.envs.reset_options import ResetOptions
from twingym.scenarios.registry import get
from twingym.scenarios.scenario import Scenario
from twingym.scenarios.step import Step, Values
from twingym.twins.cohort import Cohort, Ids, Rows
from twingym.twins.courses import Courses
from twingym.twins.dynamics import Dynamics
from twingym.twins.errors import ActionError, SpecError, unknown
from twingym.twins.scales import Floats


class TwinVectorEnv(VectorEnv[Observations, Actions, NDArray[Any]]):
    """N twins of one scenario, moved by one call of its dynamics.

    An episode ends with a declared event (termination) or at the horizon (truncation, or termination where
    the scenario ends there). ``reset`` takes ``options``: ``twins`` (ids, one per slot), ``condition`` (a
    kind of people), ``fixed`` (imposed traits), ``episode`` (number, or one per slot) and, with autoreset
    disabled, ``reset_mask`` or ``history`` (recorded courses, one per slot: their steps count as made, and the episode
    goes on from there). All noise is a function of the seed, the twin's id and the number of the
    episode; the number begins at 0 with a seed and counts up with every later reset, so a course depends on
    neither slot nor company.

    Gymnasium's rules for the three autoreset modes hold, with two additions. The infos of a step are those of
    all slots, also where an episode ended; ``final_info`` repeats them there, with sums over the episode and
    groups. With autoreset disabled, slots that are over stand still until they are reset, at no reward and no
    cost.

    With ``readings``, policies see what these say, or what a belief makes of them, in the places of the same layout,
    and counters made of it; the world, with rewards and costs, goes on as without. Infos then have ``reading_age``:
    steps since the newest reading that is known was taken.

    Attributes:
        scenario: The problem.
        layout: What each column of an observation means.
        action_map: Between actions and physical amounts.
        dynamics: What moves the twins.
        horizon: Most steps of an episode.
        last_step: The last step as reward and costs saw it; slots that were reset since show the old person.
        readings: How readings reach the policy, or None.
    """

    def __init__(
        self,
        scenario: Scenario | str | Path,
        num_envs: int = 1,
        *,
        dynamics: str | Dynamics = "transformer",
        observation: Observation = "scaled",
        horizon: int | None = None,
        people: str | ArrayLike = "train",
        autoreset: Autoreset | AutoresetMode = "same_step",
        params: Mapping[str, object] | None = None,
        weights: str | Path | None = None,
        render_mode: str | None = None,
        doubt: Doubt | None = None,
        readings: Readings | None = None,
    ) -> None:
        """Set up the slots; nobody sits in them before ``reset``.

        Args:
            scenario: A scenario, its id, or the path of its file.
            num_envs: Number of slots, N.
            dynamics: ``transformer``, ``reference``, or an object.
            observation: ``scaled`` to [-1, 1], or ``raw`` physical units.
            horizon: Steps of an episode; the scenario's if None.
            people: Split (``train``, ``validation``, ``test``) or ids that people are drawn from.
            autoreset: ``same_step``, ``next_step`` or ``disabled``.
            params: Constants of the scenario to vary.
            weights: Folder of a twin model other than the scenario's own.
            render_mode: ``rgb_array`` or None.
            doubt: For training: what is done where the heads of the twin model disagree.
            readings: How readings reach the policy; None: at once, all and without further error.

        Raises:
            UnknownNameError: If a name is unknown; suggests the nearest.
            SpecError: If a number is impossible, or no belief can be had of this scenario.
        """
        self.scenario = (scenario if isinstance(scenario, Scenario) else get(scenario)).vary(**(params or {}))
        self.num_envs = num_envs
        self.horizon = self.scenario.horizon if horizon is None else horizon
        for name in ("num_envs", "horizon"):
            if getattr(self, name) < 1:
                raise SpecError(f"{name} is {getattr(self, name)}; allowed: 1 or more.")
        self._mode = autoreset_mode(autoreset)
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": 4, "autoreset_mode": self._mode}
        if render_mode not in (None, "rgb_array"):
            raise unknown("render mode", str(render_mode), ("rgb_array",))
        self.render_mode = render_mode
        self.layout = ObservationLayout(self.scenario, observation)
        self.action_map = ActionMap(self.scenario)
        self.single_observation_space = self.layout.space
        self.single_action_space = self.action_map.space
        self.observation_space = batch_space(self.layout.space, num_envs)
        self.action_space = batch_space(self.action_map.space, num_envs)
        self.dynamics = resolve(self.scenario, dynamics, weights)
        if readings is not None:
            readings.check(self.scenario)
        self.readings, self._believer = readings, believer(self.scenario, readings.belief if readings else None)

        self._pool = checked_pool(people)
        self._reactions = Reactions(self.dynamics, num_envs, doubt)
        self._enforcement = Enforcement(self.scenario)
        self._policy_sees = Reading(self.scenario, "policy", self.horizon)
        self._noise_seed: int | None = None
        self._newcomers: Newcomers | None = None
        self._batch: Batch | None = None
        self._live: Live | None = None
        self._film: Film | None = None
        self._past: Courses | None = None
        self._ledger = Ledger(self.scenario, num_envs, self.horizon)
        self.last_step: Step | None = None

    # -- what is true now ------------------------------------------------------------------------------------

    @property
    def batch(self) -> Batch:
        """The people in the slots.

        Raises:
            ResetNeeded: If nobody sits there yet.
        """
        if self._batch is None:
            raise ResetNeeded("nobody sits in the slots yet: call reset() first.")
        return self._batch

    @property
    def cohort(self) -> Cohort:
        """Who sits in the slots."""
        return self.batch.moment.cohort

    @property
    def episode(self) -> Ids:
        """Number of each slot's episode, shape (N,)."""
        return self.batch.episode

    @property
    def noise_seed(self) -> int | None:
        """Seed of all noise since the last seeded reset; None before the first reset."""
        return self._noise_seed

    @property
    def t(self) -> Ids:
        """Steps made in each slot's episode, shape (N,)."""
        return self.batch.moment.t

    @property
    def observed(self) -> Floats:
        """What the dynamics says now, auditor variables included, shape (N, V)."""
        return self.batch.moment.observed.T

    @property
    def inputs(self) -> Floats:
        """Exogenous inputs in force now, shape (N, K)."""
        return self.batch.moment.inputs

    @property
    def over(self) -> Flags:
        """Which episodes have ended and were not reset yet, shape (N,)."""
        return self._ledger.over

    @property
    def audit_step(self) -> Step | None:
        """The last step with auditor variables, for metrics."""
        return self.batch.audit_step()

    def values(self) -> Values:
        """Return what the policy sees now, by name in physical units, each (N,)."""
        return self._policy_sees(self.batch.moment if self._live is None else self._live.moment)

    def audit_values(self) -> Values:
        """Return everything that is true now, auditor variables included, by name, each (N,)."""
        return self.batch.audit_values()

    def permitted_levels(self) -> Floats:
        """Return which level would be delivered now if each were asked for, shape (N, levels).

        Raises:
            ActionError: If the scenario's actions are not one choice between levels.
        """
        if not isinstance(self.single_action_space, Discrete):
            raise ActionError(f"levels need a Discrete action space; this one is {self.single_action_space}.")
        levels = int(self.single_action_space.n)
        return self._enforcement.permitted_levels(self.batch.now, self.num_envs, levels)

    def action_masks(self) -> Flags:
        """Return which levels (N, levels) no hard constraint would replace now.

        Raises:
            ActionError: If the scenario's actions are not one choice between levels.
        """
        permitted = self.permitted_levels()
        return np.asarray(permitted == np.arange(permitted.shape[1]))

    def cut(self, slots: Flags) -> None:
        """Let the next step be the last of the episodes in ``slots`` (N,), which it truncates."""
        self._reactions.cut(slots)

    # -- gymnasium -------------------------------------------------------------------------------------------

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observations, Infos]:
        """Seat people in the slots and begin their episodes; see the class for ``options``.

        A reset that fails changes nothing.

        Raises:
            UnknownNameError: If an option or a trait is unknown.
            CohortError: If the people asked for cannot be had.
            SpecError: If another value is impossible.
        """
        wanted = ResetOptions.read(options, self.num_envs, self.scenario)
        if wanted.mask is not None:
            if self._mode is not AutoresetMode.DISABLED or seed is not None:
                raise SpecError("options['reset_mask'] needs autoreset='disabled', and takes no seed.")
            if self._past is not None:
                raise SpecError(
                    "options['reset_mask'] after a reset with 'history': reset all slots, with a history each."
                )
            self._begin(np.flatnonzero(wanted.mask))
        else:
            if wanted.history is not None:
                if self.readings is not None:
                    raise SpecError(
                        "options['history'] with readings: people are followed from birth on. Make the env without "
                        "readings, or begin at birth."
                    )
                check_goes_on(wanted.history, self.dynamics, self._mode, self.horizon)
            self._begin_all(seed, wanted)
        everyone = np.ones(self.num_envs, bool)
        return self._observe(), masked({"twin": self.cohort.ids.copy()}, everyone)

    def step(self, actions: ArrayLike) -> tuple[Observations, Floats, Flags, Flags, Infos]:
        """Deliver ``actions`` (N, ...) and move everybody one step.

        Returns:
            Observations (N, D), rewards (N,), terminations (N,), truncations (N,), and infos: arrays by name.

        Raises:
            ActionError: If an action is impossible; within 1e-4 of the range it is clipped.
            DynamicsError: If the dynamics fails.
        """
        batch, idle = self.batch, np.flatnonzero(self.over)
        asked = self.action_map.to_amounts(actions, batch.now)
        delivered, shielded = self._enforcement.permit(batch.now, asked)
        self._reactions.before_step(batch, self._noise_seed)
        step = self.last_step = batch.move(delivered, idle)
        if self._live is not None:
            self._live.move(batch, idle)
        rewards = np.array(self.scenario.reward(step), dtype=np.float64)
        costs = np.array([c.cost(step) for c in self.scenario.costs if c.cost is not None], dtype=np.float64)
        if len(idle):
            rewards[idle], costs[:, idle], shielded[idle] = 0.0, 0.0, False
        who = self._who()
        penalty, cut = self._reactions.after_step(who["disagreement"], idle)
        ended = self._ledger.add(rewards, costs, batch.moment, cut)
        if self._film is not None:
            self._film.add(delivered, batch.moment)
        told = step_infos(self.scenario, step, costs, delivered, shielded) | who
        for name in {"delivered", "need", "benefit"} & set(told) if len(idle) else ():
            told[name][idle] = 0.0
        infos = masked(told, np.ones(self.num_envs, bool))

        if self._mode is AutoresetMode.NEXT_STEP and len(idle):
            self._begin(idle)
        terminated, truncated = self._ledger.terminated.copy(), self._ledger.truncated.copy()
        observations = self._observe()
        if ended.any():
            same_step = self._mode is AutoresetMode.SAME_STEP
            infos |= final_infos(told | self._ledger.summary(batch.moment), ended, observations if same_step else None)
            if same_step:
                begun = np.flatnonzero(ended)
                self._begin(begun)
                values = {name: v[begun] for name, v in self.values().items()}
                observations[begun] = self.layout.encode(values)
        return observations, rewards - penalty, terminated, truncated, infos

    def render(self) -> tuple[Image, ...] | None:
        """Draw the course so far of everybody, as one RGB array each; None without a render mode."""
        if self._film is None:
            return None
        return tuple(self._film.draw(self.batch.moment, slot) for slot in range(self.num_envs))

    # -- inside ----------------------------------------------------------------------------------------------

    def _observe(self) -> Observations:
        return self.layout.encode(self.values())

    def _who(self) -> Infos:
        told = {"twin": self.cohort.ids.copy(), "disagreement": self._reactions.disagreement(self.batch)}
        return told if self._live is None else told | {"reading_age": self._live.age.copy()}

    def _begin_all(self, seed: int | None, wanted: ResetOptions) -> None:
        noise_seed = self._noise_seed if seed is None else seed
        if noise_seed is None:
            noise_seed = int(self.np_random.integers(2**63))
        if not 0 <= noise_seed < 2**64:
            raise SpecError(f"seed is {seed}; allowed: 0 to 2**64 - 1.")
        episode = wanted.episode
        if episode is None:
            going_on = self._newcomers if seed is None else None
            episode = np.zeros(self.num_envs, dtype=np.int64) if going_on is None else going_on.episode
        newcomers = Newcomers(self.scenario, self._pool, wanted, noise_seed, self.horizon, episode)
        batch = Batch(self.scenario, self.dynamics, newcomers, noise_seed, self.horizon)
        film = Film(self.scenario, self.horizon, batch.moment) if self.render_mode else None
        if wanted.history is not None:
            relive(batch, wanted.history, film)
        live = None
        if self.readings is not None:
            live = Live(self.scenario, self.readings, self._believer, batch, noise_seed, self.horizon)

        super().reset(seed=seed)
        self._noise_seed, self._newcomers, self._batch = noise_seed, newcomers, batch
        self._ledger = Ledger(self.scenario, self.num_envs, self.horizon)
        self._live, self._film, self._past = live, film, wanted.history
        self._reactions.begin(slice(None))
        self.last_step = None

    def _begin(self, rows: Rows) -> None:
        self.batch.begin(rows)
        if self._live is not None:
            self._live.begin(rows, self.batch)
        self._ledger.clear(rows)
        self._reactions.begin(rows)
        if self._film is not None:
            self._film.begin(rows, self.batch.moment)
