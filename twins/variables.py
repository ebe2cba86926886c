"""What is one measured quantity: its name, unit, bounds, kind, and who may see it?"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np

from twingym.twins.errors import SpecError
from twingym.twins.scales import Floats, Scale, ScaleKind

Kind = Literal["continuous", "count", "binary", "categorical", "event"]
Audience = Literal["policy", "twin", "auditor"]

# Who may read a variable of each audience: the auditor reads all, the policy the least.
_READERS: dict[str, frozenset[str]] = {
    "policy": frozenset({"policy", "twin", "auditor"}),
    "twin": frozenset({"twin", "auditor"}),
    "auditor": frozenset({"auditor"}),
}
MAX_LEVELS = 64
MAX_BINS = 256


@dataclass(frozen=True)
class Variable:
    """One named quantity of a person: an observation, a trait, an input or a derived value.

    Spaces, scaling, clipping, plots, documentation, errors and the transformer all read this declaration.

    Attributes:
        name: Identifier, lower case with underscores.
        unit: Physical unit, ``""`` if it has none.
        low: Lowest possible value, in ``unit``; observed values are clipped to it.
        high: Highest possible value, in ``unit``.
        kind: ``continuous``, ``count`` (whole numbers from ``low`` to ``high``), ``binary`` (0 or 1),
            ``categorical`` (index into ``levels``) or ``event`` (0 or 1; 1 ends the episode).
        scale: How a continuous value is spread over [-1, 1]. A ``log`` scale with ``low = 0`` also says
            that exact zeros are common (an amount spent, say).
        audience: The least privileged reader: ``policy`` (everybody), ``twin`` (learned, hidden from the
            policy) or ``auditor`` (metrics only; never reward, costs or policies).
        track: Whether evaluations keep its course over time.
        change: A typical change over one step, in ``unit`` on a linear scale, else on [-1, 1]; sets the
            resolution of the transformer's head. Defaults to a twentieth of the range.
        knee: Where a ``log`` scale turns from linear to logarithmic, in ``unit``; defaults to ``low``.
        levels: Names of the values of a categorical variable.
        absorbing: For binary variables: once 0, always 0 (a withdrawn consent).
        recurrent: For counts: events that come back at a rate of the person's own, hidden, until one of them is the
            last (purchases). All recurrent counts of a scenario follow one activity of the person. Interventions and
            inputs multiply it in their own step, and later steps change only through what happened then. A twin model
            that need not find this out judges policies better; it is wrong where it does not hold.
        amount_of: For amounts on a log scale from 0: the recurrent count, declared before, of the events that come to
            it (dollars spent on purchases). Everybody's amounts have a size of their own, hidden, that never changes;
            interventions and inputs multiply them in their own step only. Zero where nothing was counted.
        relative: For positive amounts on a plain log scale: what is predicted is growth relative to the last value. It
            often is nearly normal, where its logarithm is not.
        edges: For continuous values of any shape: where they are parted into bins, in ``unit``, rising between ``low``
            and ``high``; a twin model gives each bin and both bounds a probability. See :meth:`binned`.
        intermittent: Whether it is not measured at every step: it then is NaN, in the courses of a reference too.
            Policies see a neutral value and, in a column of its own, whether it was measured; rewards, costs and
            bookkeeping see NaN. A twin model learns when it is measured. Where steps have different lengths, declare
            the time since the last one as an input on a log scale.
        about: One sentence for people; another makes no other variable.
    """

    name: str
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    kind: Kind = "continuous"
    scale: ScaleKind = "linear"
    audience: Audience = "policy"
    track: bool = False
    change: float | None = None
    knee: float | None = None
    levels: tuple[str, ...] = ()
    absorbing: bool = False
    recurrent: bool = False
    amount_of: str = ""
    relative: bool = False
    edges: tuple[float, ...] = ()
    intermittent: bool = False
    about: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Refuse declarations that contradict themselves, naming the field.

        Raises:
            SpecError: If a field is impossible.
        """

        def refuse(fieldname: str, value: object, allowed: str) -> SpecError:
            return SpecError(f"variable {self.name!r}: {fieldname} is {value!r}; allowed: {allowed}.")

        if not self.name.isidentifier():
            raise refuse("name", self.name, "letters, digits and underscores, not starting with a digit")
        if self.kind not in ("continuous", "count", "binary", "categorical", "event"):
            raise refuse("kind", self.kind, "continuous, count, binary, categorical, event")
        if self.scale not in ("linear", "log", "logit"):
            raise refuse("scale", self.scale, "linear, log, logit")
        if self.audience not in _READERS:
            raise refuse("audience", self.audience, "policy, twin, auditor")
        if self.kind == "categorical":
            if len(set(self.levels)) < max(len(self.levels), 2):
                raise refuse("levels", self.levels, "at least two names for a categorical variable, each once")
            object.__setattr__(self, "high", float(len(self.levels) - 1))
        elif self.levels:
            raise refuse("levels", self.levels, f"only on categorical variables, this one is {self.kind}")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise refuse("low, high", (self.low, self.high), f"two finite numbers in {self.unit or '1'}, low < high")
        if self.kind in ("binary", "event") and (self.low, self.high) != (0.0, 1.0):
            raise refuse("low, high", (self.low, self.high), f"0 and 1 for a variable of kind {self.kind}")
        if self.kind == "count" and not (float(self.low).is_integer() and float(self.high).is_integer()):
            raise refuse("low, high", (self.low, self.high), "whole numbers for a count")
        if self.kind == "count" and self.high - self.low >= MAX_LEVELS:
            raise refuse("high", self.high, f"a count spans fewer than {MAX_LEVELS} values; else use continuous")
        if self.scale == "log" and (self.knee if self.knee is not None else self.low) <= 0:
            raise refuse("knee", self.knee, f"a positive number of {self.unit or '1'} where low <= 0 on a log scale")
        if self.scale != "linear" and self.kind != "continuous":
            raise refuse("scale", self.scale, f"linear on a variable of kind {self.kind}")
        if self.scale != "linear" and self.low < 0:
            raise refuse("low", self.low, f"0 {self.unit} or more on a {self.scale} scale")
        if self.change is not None and self.change <= 0:
            raise refuse("change", self.change, "a positive number")
        if self.absorbing and self.kind != "binary":
            raise refuse("absorbing", self.absorbing, "only on binary variables")
        if self.recurrent and (self.kind != "count" or self.low != 0.0):
            raise refuse("recurrent", self.recurrent, "only on counts from 0")
        if self.amount_of and not self.has_zero_atom:
            raise refuse("amount_of", self.amount_of, "only on continuous variables on a log scale from 0")
        if self.relative and (self.scale != "log" or self.low <= 0.0 or self.scaling.knee != self.low):
            raise refuse("relative", self.relative, "only on a log scale with low > 0 and knee = low")
        if self.intermittent and (self.kind == "event" or self.absorbing or self.recurrent or self.amount_of):
            raise refuse(
                "intermittent", self.intermittent, "not on events, and not with absorbing, recurrent, amount_of"
            )
        if self.edges:
            if self.kind != "continuous" or self.relative or self.amount_of:
                raise refuse(
                    "edges", self.edges, "only on continuous variables that are neither relative nor amount_of"
                )
            ends = (self.low, *self.edges, self.high)
            if not all(a < b for a, b in pairwise(ends)):
                raise refuse("edges", self.edges, f"rising numbers of {self.unit or '1'} between low and high")

    @cached_property
    def scaling(self) -> Scale:
        """The map between physical values and [-1, 1]."""
        knee = self.knee if self.knee is not None else (self.low if self.low > 0 else 1.0)
        return Scale(self.scale, self.low, self.high, knee)

    def to_unit(self, value: Floats) -> Floats:
        """Map physical values, any shape, to [-1, 1]."""
        return self.scaling.to_unit(value)

    def from_unit(self, unit: Floats) -> Floats:
        """Map [-1, 1], any shape, to physical values."""
        return self.scaling.from_unit(unit)

    def binned(self, values: Floats | None = None, bins: int = 64) -> Variable:
        """Return the variable with ``edges``, which makes a twin model predict bins.

        Args:
            values: Recorded values, any shape, whose quantiles part the bins; NaN and values on the bounds do not
                count. Without them the bins are equally wide on the declared scale.
            bins: How many; fewer where quantiles coincide.

        Raises:
            SpecError: If there is nothing to part, or the variable cannot have bins.
        """
        if not 2 <= bins <= MAX_BINS:
            raise SpecError(f"variable {self.name!r}: bins is {bins}; allowed: 2 to {MAX_BINS}.")
        if values is None:
            edges = self.from_unit(np.linspace(-1.0, 1.0, bins + 1)[1:-1])
        else:
            inside = values[(values > self.low) & (values < self.high)]
            if len(inside) == 0:
                raise SpecError(f"variable {self.name!r}: no recorded value is between its bounds; record some.")
            edges = np.unique(np.quantile(inside, np.linspace(0.0, 1.0, bins + 1)[1:-1]))
        return replace(self, edges=tuple(float(edge) for edge in edges))

    def seen_by(self, reader: Audience) -> bool:
        """Whether ``reader`` may look at this variable."""
        return reader in _READERS[self.audience]

    @property
    def span(self) -> str:
        """What it may be, in words: its levels, or from where to where in its unit."""
        return ", ".join(self.levels) or f"{self.low:g} to {self.high:g} {self.unit}".strip()

    @property
    def allowed(self) -> str:
        """Its span as an error says it, which tells whole numbers too."""
        return self.span + ("" if self.kind == "continuous" or self.levels else ", whole numbers")

    @property
    def has_zero_atom(self) -> bool:
        """Whether exact zeros are common: a continuous amount on a log scale that starts at zero."""
        return self.kind == "continuous" and self.scale == "log" and self.low == 0.0

    @property
    def unit_change(self) -> float:
        """A typical change over one step on the [-1, 1] scale."""
        if self.change is None:
            return 0.1
        return 2.0 * self.change / (self.high - self.low) if self.scale == "linear" else self.change

    @property
    def level_count(self) -> int:
        """How many values a discrete variable takes (0 for continuous ones)."""
        return 0 if self.kind == "continuous" else round(self.high - self.low) + 1

    def label(self) -> str:
        """Axis label: name and unit."""
        name = self.name.replace("_", " ")
        return f"{name} ({self.unit})" if self.unit else name


def names(variables: tuple[Variable, ...]) -> tuple[str, ...]:
    """Return the names of ``variables`` in declared order."""
    return tuple(variable.name for variable in variables)


def columns_seen_by(variables: tuple[Variable, ...], reader: Audience) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return the column numbers of the ``variables`` that ``reader`` may look at, shape (K,)."""
    return np.array([i for i, v in enumerate(variables) if v.seen_by(reader)], dtype=np.intp)
