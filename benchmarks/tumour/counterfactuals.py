"""What would have become of test patients under other treatments: the benchmark's questions and their true answers.

Two kinds. ``one_step``: after every recorded day all four treatments of that day. ``sliding`` and ``random``: the day's
own treatment, then ten plans of five days: one dose of one treatment on one of the days, or drawn by coin.

As published (``original``), the treatment of test patients is decided by the diameters in row i of the table of
answers, not by those of patient i, and the answers are not clipped: volumes below zero and beyond death occur. The
cleaned form treats test patients as all others and keeps answers within the possible.

Legend of shapes: N = patients, T = days, R = questions, P = days of a plan (1 for ``one_step``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.tumour.simulator import (
    CHEMO_DOSE,
    CHEMO_LEFT,
    DAYS,
    LARGEST,
    NOISE,
    RADIO_DOSE,
    WINDOW,
    Floats,
    Patients,
    Recorded,
    recovers,
    treated,
)

Kind = Literal["one_step", "sliding", "random"]
KINDS: tuple[Kind, ...] = ("one_step", "sliding", "random")
PLAN_DAYS = 5
FOUR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])[:, None]  # (4, 1, 2): chemotherapy, radiotherapy
SLIDING = np.concatenate(
    [np.stack([np.eye(PLAN_DAYS), np.zeros((PLAN_DAYS, PLAN_DAYS))][::turn], axis=-1) for turn in (1, -1)]
).astype(np.int64)  # (10, P, 2)
TINY = 1e-7


@dataclass(frozen=True)
class Questions:
    """What is asked about test patients.

    Attributes:
        kind: Which kind of question.
        history: What was recorded of the patients; only what comes before a question may be used.
        patient: Row of the patient, (R,).
        day: Last day whose volume is known, (R,).
        plan: Chemotherapy and radiotherapy, (R, P, 2), from ``day`` on, or from the day after, with the recorded
            treatment of ``day`` before it, where plans have several days.
        answer: True volumes on the day after each of the plan's, (R, P), cm^3.
    """

    kind: Kind
    history: Recorded
    patient: NDArray[np.int64]
    day: NDArray[np.int64]
    plan: NDArray[np.int64]
    answer: Floats

    def __len__(self) -> int:
        """Return R."""
        return len(self.day)

    def take(self, rows: NDArray[np.intp]) -> Questions:
        """Return the questions in ``rows``."""
        return replace(
            self, patient=self.patient[rows], day=self.day[rows], plan=self.plan[rows], answer=self.answer[rows]
        )

    @property
    def lead(self) -> int:
        """Recorded days of treatment between the last known volume and the plan: 0 or 1."""
        return int(self.kind != "one_step")

    @property
    def doses(self) -> NDArray[np.int64]:
        """Treatment of every day from ``day`` on, (R, lead + P, 2)."""
        if not self.lead:
            return self.plan
        own = np.stack([a[self.patient, self.day] for a in (self.history.chemo, self.history.radio)], axis=-1)
        return np.concatenate([own[:, None].astype(np.int64), self.plan], axis=1)


def ask(patients: Patients, gamma: float, random: np.random.RandomState, kind: Kind, *, original: bool) -> Questions:
    """Record test patients and ask about each of their days; see the module.

    Args:
        patients: N test patients.
        gamma: Confounding.
        random: Used in the order of the published benchmark.
        kind: Which questions.
        original: As published, or cleaned.
    """
    n, ahead = len(patients.first), 0 if kind == "one_step" else PLAN_DAYS
    lead = int(ahead > 0)
    if kind == "random":
        random.randint(0, 2, (2 * PLAN_DAYS, PLAN_DAYS, 2))  # drawn but never used, as published
    size, chemo, radio, drug = np.full((n, DAYS), np.nan), *(np.zeros((n, DAYS)) for _ in range(3))
    steps, noise = np.zeros(n, dtype=np.int64), np.zeros((n, DAYS + ahead))
    plans: list[NDArray[np.int64]] = []
    # The first n rows of the table of answers: in the published data, test patients are treated by these.
    table, filled = np.zeros((n, DAYS + ahead)), 0
    size[:, 0] = patients.first
    for i in range(n):
        one = patients.take(np.array([i]))
        noise[i] = NOISE * random.randn(DAYS + ahead)
        luck, chemo_luck, radio_luck = (random.rand(DAYS) for _ in range(3))
        for day in range(DAYS - 1):
            # As published: a day more than in training, and of another patient.
            first, seen = (day - WINDOW, table) if original else (day + 1 - WINDOW, size)
            chance = treated(seen[i, max(first, 0) : day + 1], gamma)
            chemo[i, day], radio[i, day] = chemo_luck[day] < chance, radio_luck[day] < chance
            left = CHEMO_LEFT * drug[i, day - 1] if day else 0.0
            drug[i, day] = left + CHEMO_DOSE * chemo[i, day]
            grown = one.growth(size[i, day : day + 1], drug[i, day], RADIO_DOSE * radio[i, day], noise[i, day + 1])
            size[i, day + 1] = np.clip(size[i, day] * grown[0], 0.0, LARGEST)
            if kind == "random":
                plans.append(random.randint(0, 2, (2 * PLAN_DAYS, PLAN_DAYS, 2)))
            if original and filled < n:
                if lead:
                    plan = plans[-1] if kind == "random" else SLIDING
                    begin = size[i, : day + 2]
                    known = _continue(one, begin[-1:], drug[i, day : day + 1], plan, noise[i, day + 2 :], guarded=True)
                else:
                    begin = size[i, : day + 1]
                    own = (FOUR[:, 0] == [chemo[i, day], radio[i, day]]).all(axis=1)
                    options = FOUR[np.argsort(~own, kind="stable")]
                    known = _continue(one, begin[-1:], np.array([left / CHEMO_LEFT]), options, noise[i, day + 1 :])
                    known[0] = np.clip(known[0], 0.0, LARGEST)
                for answer in known[~np.isnan(known).any(axis=1)][: n - filled]:
                    table[filled, : len(begin)], table[filled, len(begin) : len(begin) + known.shape[1]] = begin, answer
                    filled += 1
            steps[i] = day + 1
            if size[i, day + 1] >= LARGEST or bool(recovers(size[i, day + 1], luck[day])):
                break
    history = Recorded(size, chemo, radio, drug, steps, patients.type)
    return _answer(patients, history, noise, kind, np.array(plans), original=original)


def _answer(
    patients: Patients, history: Recorded, noise: Floats, kind: Kind, plans: NDArray[np.int64], *, original: bool
) -> Questions:
    """Lay out the questions and compute their true answers."""
    n = len(history.steps)
    patient = np.repeat(np.arange(n), history.steps)
    day = np.concatenate([np.arange(s) for s in history.steps])
    if kind == "one_step":
        plans = np.broadcast_to(FOUR, (len(day), *FOUR.shape))
    elif kind == "sliding":
        plans = np.broadcast_to(SLIDING, (len(day), *SLIDING.shape))
    each, lead = plans.shape[1], int(kind != "one_step")
    patient, day, plan = np.repeat(patient, each), np.repeat(day, each), plans.reshape(-1, *plans.shape[2:])
    begin = history.size[patient, day + lead]
    drug = history.drug[patient, day + lead - 1] * (day + lead > 0)
    luck = noise[patient[:, None], day[:, None] + lead + 1 + np.arange(plan.shape[1])]
    answer = _continue(patients.take(patient), begin, drug, plan, luck, guarded=bool(lead), kept=not original)
    if not lead:  # what did happen is recorded within the possible
        own = (plan[:, 0] == np.stack([history.chemo, history.radio], axis=-1)[patient, day]).all(axis=1)
        answer[own] = np.clip(answer[own], 0.0, LARGEST)
    there = ~np.isnan(answer).any(axis=1)
    if not original:
        there &= (begin > 0.0) & (begin < LARGEST)
    return Questions(kind, history, patient, day, plan, answer).take(np.flatnonzero(there))


def _continue(
    patients: Patients,
    size: Floats,
    drug: Floats,
    plan: NDArray[np.int64],
    noise: Floats,
    *,
    guarded: bool = False,
    kept: bool = False,
) -> Floats:
    """Return volumes (R, P) under plans (R, P, 2) from sizes and drug levels (R,) or (1,) on; noise (R, P) or (P,).

    ``guarded`` adds the published guards against volumes of zero, ``kept`` keeps volumes within the possible.
    """
    found = np.empty(plan.shape[:2])
    for k in range(plan.shape[1]):
        drug = CHEMO_LEFT * drug + CHEMO_DOSE * plan[:, k, 0]
        guard = TINY if guarded else 0.0
        grown = patients.growth(size + guard, drug, RADIO_DOSE * plan[:, k, 1], noise[..., k])
        size = size * grown
        if kept:
            size = np.where(np.isnan(size), 0.0, np.clip(size, 0.0, LARGEST))
        found[:, k] = size
    return found
