"""What must not happen, how often at most, and who says so?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from twingym.scenarios.step import Step, Values
from twingym.twins.errors import SpecError
from twingym.twins.scales import Floats

ConstraintKind = Literal["cumulative", "rate", "chance", "cvar", "group_gap"]
Cost = Callable[[Step], Floats]
# From what is known now and the amounts about to be delivered to the amounts that may be.
Enforce = Callable[[Values, Values], Values]


@dataclass(frozen=True)
class Constraint:
    """A named limit on a cost, or on the gap between groups.

    With C_i the sum of a person's cost over the episode and T_i its length, the estimate compared with ``limit`` is
    ``cumulative``: mean C_i; ``rate``: mean C_i / T_i; ``chance``: the share of people with C_i > ``limit``, itself
    compared with ``risk``; ``cvar``: mean C_i of the worst ``risk`` share; ``group_gap``: the greatest difference of
    ``metric`` between the groups of ``trait``.

    Attributes:
        name: Identifier; also the key in ``info`` and in TensorBoard.
        cost: From a step to non-negative costs (N,); None for a group gap.
        limit: The most that is allowed, in ``unit``.
        kind: See above.
        risk: Share of people, for ``chance`` and ``cvar``.
        unit: Unit of the estimate.
        primary: Whether this is ``info["cost"]``; exactly one constraint of a scenario is.
        hard: Enforced at every step by ``enforce``; passes only with no violation at all.
        enforce: For hard constraints: replaces amounts that would violate it by permitted ones.
        trait: For group gaps: the categorical trait that forms the groups.
        metric: For group gaps: ``return``, a constraint's name, or a metric's name.
        source: Who set the limit; ``assumption`` if nobody did.
    """

    name: str
    cost: Cost | None
    limit: float
    kind: ConstraintKind = "rate"
    risk: float = 0.05
    unit: str = ""
    primary: bool = False
    hard: bool = False
    enforce: Enforce | None = None
    trait: str | None = None
    metric: str | None = None
    source: str = "assumption"

    def __post_init__(self) -> None:
        """Refuse declarations that contradict themselves.

        Raises:
            SpecError: Naming the field.
        """

        def refuse(fieldname: str, why: str) -> SpecError:
            return SpecError(f"constraint {self.name!r}: {fieldname} is {getattr(self, fieldname)!r}; {why}.")

        if not self.name.isidentifier():
            raise refuse("name", "allowed: letters, digits and underscores")
        if self.kind not in ("cumulative", "rate", "chance", "cvar", "group_gap"):
            raise refuse("kind", "allowed: cumulative, rate, chance, cvar, group_gap")
        if (self.kind == "group_gap") != (self.cost is None):
            raise refuse("cost", "a group gap has none, every other kind needs one")
        if self.kind == "group_gap" and not (self.trait and self.metric):
            raise refuse("trait" if not self.trait else "metric", "a group gap needs a trait and a metric")
        if self.kind != "group_gap" and (self.trait or self.metric):
            raise refuse("trait" if self.trait else "metric", "only a group gap has one")
        if self.hard and (self.kind == "group_gap" or self.limit != 0):
            raise refuse("hard", "only a limit of 0 on a cost at each step can be enforced")
        if self.hard != (self.enforce is not None):
            raise refuse("enforce", "a hard constraint needs it, a soft one has none")
        if self.kind in ("chance", "cvar") and not 0 < self.risk < 1:
            raise refuse("risk", "allowed: a share between 0 and 1")
        if not 0 <= self.limit < math.inf:
            raise refuse("limit", f"allowed: a finite number of {self.unit or '1'}, 0 or more")
        if not self.source:
            raise refuse("source", "allowed: who set the limit, or 'assumption'")
