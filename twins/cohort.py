"""Who are the simulated people, and which of them may be trained on?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twingym.twins.errors import CohortError, unknown
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats

Ids = NDArray[np.int64]
Rows = NDArray[np.intp]
Split = Literal["train", "validation", "test"]
Condition = Mapping[str, object]

MAX_ID = 2**31
_SPLIT_SEED = 0x5EED
_SPLIT_EDGES = (0.7, 0.8)
_SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Cohort:
    """A batch of people.

    Attributes:
        ids: One number per person, shape (N,).
        traits: Recorded, constant properties by name, each of shape (N,), physical units.
        hidden: Properties that only a reference simulator may read (a true sensitivity), each of shape (N, ...).
    """

    ids: Ids
    traits: Mapping[str, Floats]
    hidden: Mapping[str, Floats] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of people."""
        return len(self.ids)

    def take(self, rows: Rows) -> Cohort:
        """Return the people in ``rows``, in that order, as a copy."""
        return Cohort(
            self.ids[rows],
            {name: values[rows] for name, values in self.traits.items()},
            {name: values[rows] for name, values in self.hidden.items()},
        )

    def put(self, rows: Rows, other: Cohort) -> Cohort:
        """Return a cohort in which ``other`` sits in ``rows``."""

        def merge(mine: Floats, theirs: Floats) -> Floats:
            merged = mine.copy()
            merged[rows] = theirs
            return merged

        ids = self.ids.copy()
        ids[rows] = other.ids
        return Cohort(
            ids,
            {name: merge(values, other.traits[name]) for name, values in self.traits.items()},
            {name: merge(values, other.hidden[name]) for name, values in self.hidden.items()},
        )


class CohortSource(Protocol):
    """Where people come from: equations, a table, a generator."""

    def sample(
        self, ids: ArrayLike, condition: Condition | None = None, fixed: Mapping[str, float] | None = None
    ) -> Cohort:
        """Return the people with these ids.

        Args:
            ids: Whole numbers from 0 to 2**31 - 1, shape (N,); the same id is the same person on every call.
            condition: Kind of people wanted: trait name to a value, a ``(low, high)`` range or a set of values.
            fixed: Trait values to impose with all else equal, for paired comparisons ("the same person, but ...").

        Raises:
            CohortError: If an id is impossible or nobody fits the condition.
        """
        ...


@dataclass(frozen=True)
class Population:
    """People drawn from a distribution: a function of uniform numbers, repeated until a person is acceptable.

    Attributes:
        draw: From uniforms (N, width) and imposed trait values to (traits, hidden).
        width: Uniform numbers one person needs.
        accept: Which of the drawn people are kept, from (traits, hidden) to a mask (N,); everyone if absent.
        seed: Separates populations; the same seed and id give the same person.
    """

    draw: Callable[[Floats, Mapping[str, float]], tuple[dict[str, Floats], dict[str, Floats]]]
    width: int
    accept: Callable[[Mapping[str, Floats], Mapping[str, Floats]], NDArray[np.bool_]] | None = None
    seed: int = 0
    tries: int = 2000

    def sample(
        self, ids: ArrayLike, condition: Condition | None = None, fixed: Mapping[str, float] | None = None
    ) -> Cohort:
        """Return the people with these ids; see :meth:`CohortSource.sample`."""
        wanted = checked_ids(ids)
        fixed = dict(fixed or {})
        cohort: Cohort | None = None
        open_rows = np.arange(len(wanted))
        for attempt in range(self.tries):
            numbers = uniforms(self.seed, wanted[open_rows], 0, Stream.PERSON, attempt, self.width)
            traits, hidden = self.draw(numbers, fixed)
            _honoured(traits, fixed)
            keep = np.ones(len(open_rows), bool) if self.accept is None else self.accept(traits, hidden)
            if condition:
                keep = keep & matches(traits, condition)
            drawn = Cohort(wanted[open_rows], traits, hidden)
            cohort = drawn if cohort is None else cohort.put(open_rows, drawn)
            open_rows = open_rows[~keep]
            if len(open_rows) == 0:
                return cohort
        raise CohortError(
            f"nobody fits: {len(open_rows)} of {len(wanted)} people (first id {wanted[open_rows[0]]}) were not found "
            f"in {self.tries} draws for condition {dict(condition or {})}; widen the condition."
        )


def _honoured(traits: Mapping[str, Floats], fixed: Mapping[str, float]) -> None:
    """Refuse a trait that people were to have and came without.

    Raises:
        UnknownNameError: If there is no such trait.
        CohortError: If the population draws or derives it all the same.
    """
    for name, value in fixed.items():
        if name not in traits:
            raise unknown("trait", name, traits)
        other = traits[name][traits[name] != value]
        if len(other):
            raise CohortError(
                f"trait {name!r} cannot be imposed: people were asked for with {name} = {value:g} and came with "
                f"{other[0]:g}. This population draws it or derives it from others; fix those, or choose people by a "
                "condition."
            )


def checked_ids(ids: ArrayLike) -> Ids:
    """Return ids as an int64 array of shape (N,).

    Raises:
        CohortError: If they are empty, not whole or out of range.
    """
    array = np.asarray(ids)
    if array.ndim != 1 or array.size == 0:
        raise CohortError(f"ids have shape {array.shape}; allowed: a non-empty list of whole numbers.")
    if not np.issubdtype(array.dtype, np.integer):
        raise CohortError(f"ids have type {array.dtype}; allowed: whole numbers from 0 to {MAX_ID - 1}.")
    if array.min() < 0 or array.max() >= MAX_ID:
        raise CohortError(f"ids run from {array.min()} to {array.max()}; allowed: 0 to {MAX_ID - 1}.")
    return array.astype(np.int64)


def matches(traits: Mapping[str, Floats], condition: Condition) -> NDArray[np.bool_]:
    """Return which people meet ``condition``, shape (N,).

    A tuple is a closed range, a set or list a choice, anything else one value.

    Raises:
        UnknownNameError: If the condition names a trait that does not exist.
    """
    keep = np.ones(len(next(iter(traits.values()))), bool)
    for name, want in condition.items():
        if name not in traits:
            raise unknown("trait", name, traits)
        values = traits[name]
        if isinstance(want, tuple):
            keep &= (values >= want[0]) & (values <= want[1])
        else:
            choices = want if isinstance(want, set | frozenset | list) else (want,)
            keep &= np.isin(values, np.array([float(c) for c in choices]))  # type: ignore[arg-type]
    return keep


def split_of(ids: ArrayLike) -> NDArray[np.str_]:
    """Return ``train`` (70 %), ``validation`` (10 %) or ``test`` (20 %) for each id, by a hash of the id alone."""
    number = uniforms(_SPLIT_SEED, checked_ids(ids), 0, Stream.PERSON, 0, 1)[..., 0]
    return np.array(_SPLITS)[np.searchsorted(_SPLIT_EDGES, number, side="right")]


def people(split: Split, count: int, start: int = 0) -> Ids:
    """Return the first ``count`` ids from ``start`` on that belong to ``split``.

    Raises:
        UnknownNameError: If there is no such split.
    """
    if split not in _SPLITS:
        raise unknown("split", split, _SPLITS)
    found: list[int] = []
    block = max(64, 2 * count)
    while len(found) < count:
        ids = np.arange(start, start + block)
        found.extend(ids[split_of(ids) == split].tolist())
        start += block
    return np.array(found[:count], dtype=np.int64)
