"""How does a fitted twin model step a batch of people: the transformer behind the ``Dynamics`` interface."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from twingym.twins.cohort import Cohort, Rows
from twingym.twins.company import LEAST_ROWS, padded
from twingym.twins.draw import Draw
from twingym.twins.errors import DynamicsError
from twingym.twins.expected import Expected, Known
from twingym.twins.network import TwinNetwork
from twingym.twins.regulars import Regulars
from twingym.twins.scales import Floats
from twingym.twins.seen import Done, Seen, advance_seen
from twingym.twins.transformer import Cache

LARGEST_TEMPORARY = 28 << 20  # bytes; glibc learns from blocks of up to 32 MiB


@dataclass
class TwinState:
    """Where N people are: the cache, who they are, and what was last seen of them.

    Attributes:
        cache: Keys and values of past tokens.
        traits: Encoded traits, (N, F).
        own: Raw traits that bound interventions per person, by name, each (N,).
        done: What was done in the last step.
        seen: What the next token will say was observed.
        before: What was known before that observation, so that it can be replaced.
        people: What recurrent counts are expected and drawn from.
        head: Ensemble head each person is bound to, (N,).
        expected: What heads expected of the last step.
        doubt: How far independent networks would differ about the last step, (N,), in typical changes; zero for a
            model that was not taught that.
        count: N without padding.
    """

    cache: Cache
    traits: Tensor
    own: dict[str, Floats]
    done: Done
    seen: Seen
    before: Seen
    people: Regulars
    head: Tensor
    expected: Expected
    doubt: Tensor
    count: int


class TransformerDynamics:
    """Steps people with a fitted network; see :class:`~twingym.twins.dynamics.Dynamics`.

    The first uniform of each step is read at birth only, where it binds the person to an ensemble head; then comes one
    per modelled variable, where counts are recurrent some for what is hidden, and one for each variable that may not be
    measured. Only what is measured is remembered and, unless all is to be revealed, said. After an event nothing
    changes any more: no course goes on from there, so nothing was learned of it.
    """

    def __init__(self, network: TwinNetwork, reveal: bool = False) -> None:
        """Wrap a fitted network, which is put in evaluation mode; ``reveal`` shows what was not measured too."""
        self.network, self.reveal = network.eval(), reveal
        self.spec = network.spec
        intermittent = len(network.measurement.columns) if network.measurement else 0
        self.noise_width = 1 + network.noise_width + intermittent
        self._stacked = network.stacked()
        self.heads = self._stacked.count
        self._events = [k for k, v in enumerate(self.spec.modelled) if v.kind == "event"]
        _keep_freed_memory()

    # -- Dynamics --------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def initial(self, cohort: Cohort, inputs: Floats, noise: Floats) -> tuple[TwinState, Floats]:
        """Begin a course for every person."""
        state = self._unborn(cohort, noise)
        return state, self._draw(state, self._birth_tokens(state), noise)

    @torch.inference_mode()
    def step(self, state: TwinState, action: Floats, inputs: Floats, noise: Floats) -> tuple[TwinState, Floats]:
        """Move everyone one time step."""
        return state, self._draw(state, self._tokens(state, action, inputs), noise)

    @torch.inference_mode()
    def restart(
        self, state: TwinState, rows: Rows, cohort: Cohort, inputs: Floats, noise: Floats
    ) -> tuple[TwinState, Floats]:
        """Begin new courses in ``rows``; the others' cache is not touched."""
        fresh, observed = self.initial(cohort, inputs, noise)
        where = torch.from_numpy(np.asarray(rows, dtype=np.int64))
        count = len(rows)
        state.cache.restart(where, fresh.cache)
        state.traits[where], state.head[where] = fresh.traits[:count], fresh.head[:count]
        state.doubt[where] = fresh.doubt[:count]
        state.done = state.done.each(lambda tensor: tensor.index_fill(0, where, 0.0))
        for name, values in fresh.own.items():
            state.own[name] = state.own[name].copy()
            state.own[name][rows] = values[:count]

        def put(tensors: list[Tensor]) -> Tensor:
            mine, theirs = tensors
            return mine.index_copy(0, where, theirs[:count])

        state.seen = Seen.join([state.seen, fresh.seen], put)
        state.before = Seen.join([state.before, fresh.before], put)
        state.people = Regulars.join([state.people, fresh.people], put)
        state.expected = state.expected.join([state.expected, fresh.expected], put)
        return state, observed

    @torch.inference_mode()
    def take(self, state: TwinState, rows: Rows) -> TwinState:
        """Return a copy of ``rows``, in that order."""
        where = torch.from_numpy(padded(np.asarray(rows, dtype=np.int64)))
        return TwinState(
            state.cache.take(where),
            state.traits[where],
            {name: values[where.numpy()] for name, values in state.own.items()},
            state.done.each(lambda tensor: tensor[where]),
            state.seen.each(lambda tensor: tensor[where]),
            state.before.each(lambda tensor: tensor[where]),
            state.people.each(lambda tensor: tensor[where]),
            state.head[where],
            state.expected.each(lambda tensor: tensor[where]),
            state.doubt[where],
            len(rows),
        )

    def disagreement(self, state: TwinState) -> Floats:
        """Return how far independent networks would differ about the last step, shape (N,), in typical changes.

        A model that was not taught that says how far its heads differed.
        """
        if self.network.compares:
            return spread(self.means(state))
        return state.doubt[: state.count].double().numpy()

    @torch.inference_mode()
    def means(self, state: TwinState) -> Floats:
        """Return what each head expected of the last step, (M, N, D), in typical changes, levels or probability."""
        means = state.expected.means(self.network, self._stacked)
        return means[:, : state.count].double().numpy()

    def bind(self, state: TwinState, head: Rows) -> TwinState:
        """Bind people to other heads, shape (N,), from here on."""
        before, state.head = state.head, torch.from_numpy(padded(np.asarray(head, dtype=np.int64)))
        state.people = replace(state.people, stale=state.people.stale | (state.head != before))
        return state

    @torch.inference_mode()
    def observe(self, state: TwinState, observed: Floats, rows: Rows | None = None) -> TwinState:
        """Replace what was drawn at the last step by what was recorded: a known past, read step by step.

        Args:
            state: As the last call returned it.
            observed: Recorded observations, shape (N, V), or (R, V) with ``rows``; NaN where missing.
            rows: Which people these belong to; everybody by default.

        Returns:
            The state, from which :meth:`step` goes on.
        """
        told_to = torch.zeros(len(state.head), dtype=torch.bool)
        if rows is None:
            told_to[: state.count] = True
        else:
            told_to[torch.from_numpy(np.asarray(rows, dtype=np.int64))] = True
            full = np.full((state.count, observed.shape[1]), np.nan)
            full[rows] = observed
            observed = full
        value, mask = (_float(array) for array in self.spec.encode_values(padded(observed)))
        told = advance_seen(state.before, value, mask, self.network.units, state.done)
        corrected = self.network.correct(state.people, value, mask, state.before.last, state.traits)

        def put(tensors: list[Tensor]) -> Tensor:
            new, old = tensors
            return torch.where(told_to.view(-1, *[1] * (new.ndim - 1)), new, old)

        state.seen = Seen.join([told, state.seen], put)
        state.people = Regulars.join([corrected, state.people], put)
        return state

    @torch.inference_mode()
    def abducted(self, state: TwinState, action: Floats, inputs: Floats, observed: Floats, spare: Floats) -> Floats:
        """Return the noise (N, noise_width) with which a step would have led to what was observed, and to its gaps.

        Args:
            state: That before the step; it is used up.
            action: What was delivered, (N, A).
            inputs: What was taken in, (N, K).
            observed: What followed, (N, V); NaN where missing.
            spare: Uniforms (N, noise_width): the luck of what was not observed, and where within a probability mass a
                value lay.
        """
        tokens = self._tokens(state, action, inputs)
        hidden = self.network.trunk.decode(tokens, state.cache)
        value, mask = (_float(array) for array in self.spec.encode_values(padded(observed)))
        u, chances = self._uniforms(spare)
        draw = Draw(self.network, hidden, tokens, state.seen.last, state.head, self._stacked)
        found = [draw.ranks(value, mask, u)]
        if self.network.measurement is not None:
            found.append(self.network.measurement.ranks(hidden, tokens, mask, chances))
        noise = torch.cat(found, dim=-1)[: state.count].double().numpy()
        return np.concatenate([spare[:, :1], noise], axis=1)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _unborn(self, cohort: Cohort, noise: Floats) -> TwinState:
        count, width = len(cohort), len(self.spec.modelled)
        traits = {name: padded(values) for name, values in cohort.traits.items()}
        rows = max(count, LEAST_ROWS)
        unborn = Seen.unborn(rows, width, self.spec.choices, self.spec.amounts)
        return TwinState(
            cache=self.network.trunk.empty_cache(rows),
            traits=_float(self.spec.encode_traits(traits)).expand(rows, -1).contiguous(),
            own={name: traits[name] for name in set(self.spec.own_bounds.values())},
            done=Done(unborn.chosen, torch.zeros(rows, self.spec.amounts)),
            seen=unborn,
            before=unborn,
            people=self.network.unborn(rows),
            head=torch.from_numpy(padded((noise[:, 0] * self.heads).astype(np.int64))),
            expected=Known(torch.zeros(rows, self.heads, width)),
            doubt=torch.zeros(rows),
            count=count,
        )

    def _birth_tokens(self, state: TwinState) -> Tensor:
        ones = {v.name: np.ones(1) for v in self.spec.traits}
        rows = len(state.head)
        actions = torch.zeros(
            rows, self.spec.encode_actions(np.zeros((1, len(self.spec.interventions))), ones).shape[-1]
        )
        inputs = torch.zeros(rows, self.spec.encode_inputs(np.zeros((1, len(self.spec.inputs)))).shape[-1])
        return self.network.tokens(state.seen, actions, inputs, state.traits)

    def _tokens(self, state: TwinState, action: Floats, inputs: Floats) -> Tensor:
        delivered, taken_in = padded(action), padded(inputs)
        state.done = Done(
            _float(self.spec.encode_choices(delivered)),
            _float(self.spec.encode_amounts(delivered, taken_in, state.own)),
        )
        actions = _float(self.spec.encode_actions(delivered, state.own))
        inputs_now = _float(self.spec.encode_inputs(taken_in))
        return self.network.tokens(state.seen, actions, inputs_now, state.traits)

    def _draw(self, state: TwinState, tokens: Tensor, noise: Floats) -> Floats:
        hidden = self.network.trunk.decode(tokens, state.cache)
        u, chances = self._uniforms(noise)
        before = state.seen
        draw = Draw(self.network, hidden, tokens, before.last, state.head, self._stacked)
        value, state.people, state.expected = draw.sample(u, state.people)
        if self.network.doubt is not None:
            state.doubt = self.network.doubt(hidden, tokens)
        if not bool(torch.isfinite(value).all()):
            row = int((~torch.isfinite(value)).any(-1).nonzero()[0, 0])
            raise DynamicsError(
                f"the twin model drew a value that is not finite in row {row}; refit it with `twingym fit`."
            )
        if self._events:
            over = (before.value[:, self._events] > 0.0).any(dim=-1, keepdim=True)
            value = torch.where(over, before.value, value)
        state.before = before
        measurement, present = self.network.measurement, torch.ones_like(value)
        if measurement is not None:
            present = measurement.sample(hidden, tokens, chances)
        state.seen = advance_seen(before, value, present, self.network.units, state.done)
        shown = value if measurement is None or self.reveal else torch.where(present > 0, value, torch.nan)
        return self.spec.decode_values(shown[: state.count].double().numpy())

    def _uniforms(self, noise: Floats) -> tuple[Tensor, Tensor]:
        """Split noise (N, noise_width) into uniforms of values, away from 0 and 1, and of what is measured."""
        u, chances = _float(padded(noise[:, 1:])).tensor_split([self.network.noise_width], dim=-1)
        return u.clamp(1e-6, 1.0 - 1e-6), chances


def _keep_freed_memory() -> None:
    """Let the allocator keep what a step frees for the next step, instead of handing it back to the system.

    Whether it does is chance otherwise, and fetching it anew takes up to a seventh of a step. The C library of Linux
    raises its limits to the size of the largest block that was freed, as mallopt(3) says of M_MMAP_THRESHOLD; this one
    is never touched. Elsewhere nothing happens.
    """
    torch.empty(LARGEST_TEMPORARY, dtype=torch.uint8)


def spread(means: Floats) -> Floats:
    """Return the disagreement (N,) of means (M, N, D): standard deviations over M, pooled over variables."""
    return np.asarray(np.sqrt(np.square(means - means.mean(axis=0)).mean(axis=0).sum(axis=-1)))


def _float(array: Floats) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
