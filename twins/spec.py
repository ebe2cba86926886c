"""What does a twin model read and write: the declared variables, and how they become numbers for the network?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from twingym.twins.scales import Floats
from twingym.twins.variables import Variable, columns_seen_by

# Inputs of about unit size train best; values on [-1, 1] rarely use the whole range.
VALUE_GAIN = 3.0
CHANGE_CLIP = 8.0
USUAL_AMOUNTS = 10.0  # that make up the most


@dataclass(frozen=True)
class TwinSpec:
    """The declarations behind one twin model.

    Attributes:
        traits: Recorded constant properties, protected ones too.
        variables: All observed variables in the scenario's order; those seen by the twin are modelled.
        inputs: Exogenous channels.
        interventions: Delivered amounts (continuous, from zero to the most anybody gets) or levels (categorical).
        own_bounds: For each continuous intervention that is bounded per person, the trait that scales it.
        window: Steps that attention looks back.
        fingerprint: Hash of the scenario this belongs to.
    """

    traits: tuple[Variable, ...]
    variables: tuple[Variable, ...]
    inputs: tuple[Variable, ...]
    interventions: tuple[Variable, ...]
    own_bounds: Mapping[str, str]
    window: int
    fingerprint: str

    @property
    def columns(self) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        """Columns of the scenario's observation that are modelled, shape (D,)."""
        return columns_seen_by(self.variables, "twin")

    @property
    def modelled(self) -> tuple[Variable, ...]:
        """The D modelled variables, in causal order."""
        return tuple(self.variables[i] for i in self.columns)

    @property
    def change_units(self) -> list[float]:
        """A typical change of each modelled variable on [-1, 1]; 1 for discrete ones."""
        return [v.unit_change if v.kind == "continuous" else 1.0 for v in self.modelled]

    # -- numbers for the network; all of these keep the leading axes ------------------------------------------------

    def encode_values(self, observed: Floats) -> tuple[Floats, Floats]:
        """Scale observations (..., V) to [-1, 1]; returns values (..., D), zero where missing, and a mask (..., D)."""
        values = observed[..., self.columns]
        mask = np.isfinite(values)
        filled = np.where(mask, values, 0.0)
        units = [v.to_unit(filled[..., k]) for k, v in enumerate(self.modelled)]
        return np.where(mask, np.stack(units, axis=-1), 0.0), mask.astype(np.float64)

    def decode_values(self, units: Floats) -> Floats:
        """Turn scaled values (..., D) into observations (..., V) in physical units, NaN where not modelled."""
        observed = np.full((*units.shape[:-1], len(self.variables)), np.nan)
        for k, (column, variable) in enumerate(zip(self.columns, self.modelled, strict=True)):
            value = variable.from_unit(units[..., k])
            observed[..., column] = value if variable.kind == "continuous" else np.round(value)
        return observed

    def encode_traits(self, traits: Mapping[str, Floats]) -> Floats:
        """Scale traits, each (...), to features (..., F); categorical ones become one-hot."""
        return _features([_one_hot_or_unit(v, np.asarray(traits[v.name], np.float64)) for v in self.traits])

    def encode_inputs(self, inputs: Floats) -> Floats:
        """Scale inputs (..., K) to features (..., F): on their own scale and linearly."""
        if not self.inputs:
            return np.zeros((*inputs.shape[:-1], 0))
        parts = []
        for k, variable in enumerate(self.inputs):
            parts.append(_one_hot_or_unit(variable, inputs[..., k]))
            if variable.kind == "continuous":
                parts.append((VALUE_GAIN * inputs[..., k] / variable.high)[..., None])
        return _features(parts)

    def encode_actions(self, delivered: Floats, traits: Mapping[str, Floats]) -> Floats:
        """Scale delivered amounts (..., A) to features (..., F).

        Amounts go in absolutely and relative to the person's own bound, both linearly (doses add up) and
        logarithmically (small and large doses both matter). Traits broadcast against the leading axes.
        """
        parts = []
        for k, variable in enumerate(self.interventions):
            amount = delivered[..., k]
            parts.append(_one_hot_or_unit(variable, amount))
            if variable.kind == "continuous":
                parts.append((VALUE_GAIN * amount / variable.high)[..., None])
                trait = self.own_bounds.get(variable.name)
                if trait is not None:
                    relative = amount / np.asarray(traits[trait])
                    parts.append(np.log1p(10.0 * relative)[..., None] - 1.0)
                    parts.append(0.05 * relative[..., None])
        return _features(parts)

    def encode_choices(self, delivered: Floats) -> Floats:
        """Mark which level of each categorical intervention was delivered, (..., A) to (..., L).

        The lowest levels, which stand for nothing, have no mark. Summed over a course this is how often each was given.
        """
        marks = [
            np.asarray(delivered[..., k, None] == np.arange(1, len(v.levels)), dtype=np.float64)
            for k, v in enumerate(self.interventions)
            if v.kind == "categorical"
        ]
        return np.concatenate(marks, axis=-1) if marks else np.zeros((*delivered.shape[:-1], 0))

    def encode_amounts(self, delivered: Floats, inputs: Floats, traits: Mapping[str, Floats]) -> Floats:
        """Return what adds up in people: continuous amounts and inputs, linearly and of about unit size, (..., G)."""
        parts = []
        for k, variable in enumerate(self.interventions):
            if variable.kind == "continuous":
                own, amount = self.own_bounds.get(variable.name), delivered[..., k]
                usual = USUAL_AMOUNTS * amount / variable.high if own is None else amount / np.asarray(traits[own])
                parts.append(usual[..., None])
        for k, variable in enumerate(self.inputs):
            if variable.kind == "continuous":
                parts.append((USUAL_AMOUNTS * inputs[..., k] / variable.high)[..., None])
        return np.concatenate(parts, axis=-1) if parts else np.zeros((*delivered.shape[:-1], 0))

    @property
    def amounts(self) -> int:
        """G, how many numbers :meth:`encode_amounts` returns."""
        return sum(v.kind == "continuous" for v in (*self.interventions, *self.inputs))

    @property
    def choice_columns(self) -> list[int]:
        """Which features of :meth:`encode_actions` are the L marks of :meth:`encode_choices`."""
        columns: list[int] = []
        first = 0
        for v in self.interventions:
            if v.kind == "categorical":
                columns += range(first + 1, first + len(v.levels))
            first += len(v.levels) or (4 if v.name in self.own_bounds else 2)
        return columns

    @property
    def choices(self) -> int:
        """L, how many levels :meth:`encode_choices` marks."""
        return sum(len(v.levels) - 1 for v in self.interventions if v.kind == "categorical")

    # -- files -----------------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Return the spec as plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TwinSpec:
        """Rebuild a spec from :meth:`to_json`."""

        def variables(entries: list[dict[str, Any]]) -> tuple[Variable, ...]:
            return tuple(
                Variable(**{**e, "levels": tuple(e["levels"]), "edges": tuple(e.get("edges", ()))}) for e in entries
            )

        return cls(
            traits=variables(data["traits"]),
            variables=variables(data["variables"]),
            inputs=variables(data["inputs"]),
            interventions=variables(data["interventions"]),
            own_bounds=dict(data["own_bounds"]),
            window=int(data["window"]),
            fingerprint=str(data["fingerprint"]),
        )


def _one_hot_or_unit(variable: Variable, values: Floats) -> Floats:
    if variable.kind == "categorical":
        return np.asarray(values[..., None] == np.arange(len(variable.levels)), dtype=np.float64)
    return variable.to_unit(values)[..., None]


def _features(parts: list[Floats]) -> Floats:
    return np.concatenate(parts, axis=-1) if parts else np.zeros(0)
