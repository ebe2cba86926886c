"""How is the twin model of Retention compared with the BG/NBD reference: fixed before it is fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from twingym.scenarios.fidelity_plan import FidelityPlan
from twingym.scenarios.retention.reference import CALL, COUPON, EMAIL, NONE
from twingym.scenarios.retention.rules import WEEKS
from twingym.twins.scales import Floats

HISTORY, EFFECT = 20, 20
CONSENT = 2  # column of consent among the observed variables
KINDS = np.array([EMAIL, EMAIL, COUPON, CALL])


def schedule(traits: Mapping[str, Floats], inputs: Floats, u: Floats) -> Floats:
    """One kind of contact per person, every 2 to 9 weeks, both drawn from the person's uniform."""
    steps = inputs.shape[1] - 1
    kind = KINDS[np.minimum((u * len(KINDS)).astype(int), len(KINDS) - 1)]
    every = 2 + (u * len(KINDS) % 1.0 * 8.0).astype(int)
    due = np.arange(steps)[None, :] % every[:, None] == 0
    return np.where(due, kind[:, None], NONE)[..., None].astype(np.float64)


def with_consent(observed: Floats, amounts: Floats) -> Floats:
    """Contact nobody who withdrew consent."""
    return amounts * (observed[:, [CONSENT]] > 0.0)


def after_history(inputs: Floats, intended: Floats) -> NDArray[np.int64]:
    """Everybody's branches begin when the history ends."""
    return np.full(len(inputs), HISTORY)


def contact(kind: int, every: int) -> Callable[[Floats, int], Floats]:
    """Return the dose: this kind of contact every so many weeks."""

    def dose(amounts: Floats, since: int) -> Floats:
        return np.full_like(amounts, kind if since % every == 0 else NONE)

    return dose


def more_often(amounts: Floats, factor: Floats) -> Floats:
    """Keep a share of the contacts (factor below 1), or add others in between (above 1)."""
    steps = np.arange(amounts.shape[1])
    kept = (steps[None, :] // 2 % 4) < 4.0 * factor[:, None]
    extra = (steps[None, :] % 2 == 0) & (factor[:, None] > 1.0)
    added = np.where(extra & (amounts[..., 0] == NONE), CALL, amounts[..., 0])
    return np.where(kept, added, NONE)[..., None]


PLAN = FidelityPlan(
    variable="purchases",
    total=True,
    history=HISTORY,
    horizons={"4 weeks": 4, "12 weeks": 12},
    coverage={"1 week": 1, "4 weeks": 4, "26 weeks": 26},
    schedule=schedule,
    permit=with_consent,
    branch=after_history,
    doses={
        "no contact": contact(NONE, 1),
        "email every 3 weeks": contact(EMAIL, 3),
        "coupon every 3 weeks": contact(COUPON, 3),
        "call every 3 weeks": contact(CALL, 3),
    },
    effect_steps=EFFECT,
    people=600,
    # Most customers hardly buy, so few tell what contact does: of 6,000 the correlation of a call's effects is anywhere
    # from .59 to .92.
    effect_people=24_000,
    policies={
        "never": ("never", {}),
        "e-mail every 2 weeks": ("every_k_weeks", {"k": 2.0}),
        "e-mail every 4 weeks": ("every_k_weeks", {}),
        "e-mail every 13 weeks": ("every_k_weeks", {"k": 13.0}),
        "coupon every 4 weeks": ("every_k_weeks", {"contact": float(COUPON)}),
        "call every 8 weeks": ("every_k_weeks", {"k": 8.0, "contact": float(CALL), "phone_contact": float(CALL)}),
        "recent buyers": ("recency", {}),
        "lapsing buyers": ("recency", {"after": 4.0, "until": 26.0, "gap": 4.0}),
        "probably alive": ("p_alive", {}),
        "blanket": ("blanket", {}),
    },
    metric="return",
    tolerance=0.45,  # dollars: 3 % of what a customer brings who is left alone
    policy_steps=WEEKS,
    policy_people=12_000,
    anchor_people=100_000,
    drift="every_k_weeks",
    drift_tolerance=0.01,
    shift=more_often,
    shifts=(0.0, 0.25, 1.0, 2.0),
)
