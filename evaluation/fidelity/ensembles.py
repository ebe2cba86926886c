"""What may follow the same past, at a few horizons: sampled futures of many people beside what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from twingym.evaluation.fidelity.forecast import comparable, unfold
from twingym.evaluation.fidelity.replay import record_beyond
from twingym.scenarios.fidelity_plan import FidelityPlan
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Ids, Rows
from twingym.twins.dynamics import Dynamics
from twingym.twins.scales import Floats

AT_ONCE = 24_000  # futures: more of them leave the processor's cache


@dataclass(frozen=True)
class Ensembles:
    """Forecasts by ensemble, S futures of each of N people.

    Attributes:
        ids: The people, (N,).
        traits: Their traits, each (N,).
        names: The V variables that both worlds know.
        futures: Steps ahead -> what may be observed then, (S, N, V); NaN once an event has ended a future.
        truth: Steps ahead -> what was observed, (N, V).
    """

    ids: Ids
    traits: Mapping[str, Floats]
    names: tuple[str, ...]
    futures: Mapping[int, Floats]
    truth: Mapping[int, Floats]

    @classmethod
    def draw(
        cls,
        scenario: Scenario,
        plan: FidelityPlan,
        dynamics: Dynamics,
        ids: Ids,
        seed: int,
        samples: int,
        horizons: Sequence[int],
    ) -> Ensembles:
        """Draw futures after the plan's history, some people at a time.

        The plan's variable is its sum since the forecast began if the plan totals it.

        Args:
            scenario: A scenario with a reference, which makes the courses.
            plan: Schedule and history.
            dynamics: Whose forecasts.
            ids: People; those whose course ended within the history are left out.
            seed: Of the courses and of luck.
            samples: Futures per person, S.
            horizons: Steps ahead that are kept.
        """
        known = [v for v in scenario.variables if v.kind != "event" and v.seen_by("twin")]
        columns = [scenario.variables.index(v) for v in known]
        names = tuple(v.name for v in known)
        shards = np.array_split(ids, -(-len(ids) * samples // AT_ONCE))
        parts = [_part(scenario, plan, dynamics, shard, seed, samples, horizons, columns, names) for shard in shards]
        return cls(
            np.concatenate([part.ids for part in parts]),
            {name: np.concatenate([part.traits[name] for part in parts]) for name in parts[0].traits},
            names,
            {step: np.concatenate([part.futures[step] for part in parts], axis=1) for step in horizons},
            {step: np.concatenate([part.truth[step] for part in parts]) for step in horizons},
        )

    def __len__(self) -> int:
        """Return the number of people."""
        return len(self.ids)

    def lasting(self, variable: str, step: int) -> Rows:
        """Return the people whose course lasted ``step`` steps ahead, and of whom enough futures did."""
        k = self.names.index(variable)
        return np.flatnonzero(comparable(self.futures[step][..., [k]], self.truth[step][:, [k]], 1))


def _part(
    scenario: Scenario,
    plan: FidelityPlan,
    dynamics: Dynamics,
    ids: Ids,
    seed: int,
    samples: int,
    horizons: Sequence[int],
    columns: list[int],
    names: tuple[str, ...],
) -> Ensembles:
    known = record_beyond(scenario, ids, seed, max(horizons), plan)
    main, sums = names.index(plan.variable), np.zeros(2, dtype=object)
    futures: dict[int, Floats] = {}
    truth: dict[int, Floats] = {}
    drawn = unfold(scenario, plan, dynamics, known, seed, samples, max(horizons))
    for step, (observed, _) in enumerate(drawn, start=1):
        forecast, happened = observed[..., columns], known.courses.observed[:, plan.history + step, columns]
        if plan.total:
            sums[0], sums[1] = sums[0] + forecast[..., main], sums[1] + happened[:, main]
            forecast[..., main], happened[:, main] = sums[0], sums[1]
        if step in horizons:
            futures[step], truth[step] = forecast, happened
    return Ensembles(known.courses.ids, known.courses.traits, names, futures, truth)
