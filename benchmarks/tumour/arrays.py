"""Which patients does one seed of the benchmark hold: those to learn from, those to choose by, those asked about?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.tumour.counterfactuals import KINDS, Kind, Questions, ask
from benchmarks.tumour.simulator import Recorded, draw_patients, record


@dataclass(frozen=True)
class Arrays:
    """The data of one seed and gamma.

    Attributes:
        train: Patients to learn from.
        held_out: Patients who decide when learning stops.
        questions: What is asked about test patients, by kind.
    """

    train: Recorded
    held_out: Recorded
    questions: dict[Kind, Questions]


def draw(gamma: float, seed: int, *, original: bool, train: int = 10_000, tested: int = 1_000) -> Arrays:
    """Draw everything with one generator, in the order of the published benchmark.

    Both kinds of plans are asked about the same patients: each is what would be drawn after ``one_step``.

    Args:
        gamma: Confounding.
        seed: Of the generator.
        original: As published, or cleaned.
        train: Patients to learn from.
        tested: Patients in each of the other sets.
    """
    random = np.random.RandomState(seed)
    recorded = [record(draw_patients(n, random), gamma, random, original=original) for n in (train, tested)]
    questions = {KINDS[0]: ask(draw_patients(tested, random), gamma, random, KINDS[0], original=original)}
    state = random.get_state()
    for kind in KINDS[1:]:
        random.set_state(state)
        questions[kind] = ask(draw_patients(tested, random), gamma, random, kind, original=original)
    return Arrays(*recorded, questions)
