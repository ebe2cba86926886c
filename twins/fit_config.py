"""How long and how is a twin model trained?"""

from __future__ import annotations

from dataclasses import dataclass

from twingym.twins.spec import TwinSpec


@dataclass(frozen=True)
class FitConfig:
    """Settings of a fit; a scenario declares those that suit it.

    Attributes:
        epochs: At most this many epochs.
        batches: Gradient steps per epoch.
        batch_tokens: Tokens per gradient step; short courses make many segments, long ones few.
        segment: Tokens per segment, in windows.
        birth_share: Share of segments that begin at birth.
        late_share: Share of segments that hide what was seen before they begin, as of people who join late: so what
            follows a first observation is learned from every step of a course, not from its first alone.
        learning_rate: Peak of the one-cycle schedule.
        weight_decay: Of AdamW.
        clip: Largest gradient norm.
        ema: Decay of the averaged weights, which are what is kept.
        patience: Epochs without improvement before stopping.
        energy_weight: Weight of the energy score of sampled paths beside the likelihood; 0 for none. See
            :mod:`twingym.twins.rehearsal`.
        energy_steps: Steps of a path.
        energy_share: Share of gradient steps with paths, once they begin.
        energy_from: Share of the gradient steps after which they begin.
        propensity_weighting: Steps over which inverse propensity weights of what was delivered are multiplied; 0 weighs
            all steps alike. See :mod:`twingym.twins.propensity`.
        recalibrate: Whether cdfs are bent in the end so that they hold for the validation people; see
            :mod:`twingym.twins.recalibration`.
        seed: Of initial weights, crops and the bootstrap of people.
        threads: Torch threads.
    """

    epochs: int = 45
    batches: int = 60
    batch_tokens: int = 7000
    segment: float = 3.0
    birth_share: float = 0.2
    late_share: float = 0.0
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    clip: float = 1.0
    ema: float = 0.995
    patience: int = 8
    energy_weight: float = 0.0
    energy_steps: int = 6
    energy_share: float = 0.25
    energy_from: float = 0.7
    propensity_weighting: int = 0
    recalibrate: bool = False
    seed: int = 0
    threads: int = 1

    def shape(self, tokens: int, spec: TwinSpec) -> tuple[int, int]:
        """Return how many segments make a gradient step and how many tokens each has, for courses of ``tokens``.

        Beliefs about recurrent counts begin at birth: then courses are not cut.
        """
        whole = any(v.recurrent for v in spec.modelled)
        steps = tokens if whole else min(int(self.segment * spec.window), tokens)
        return max(1, self.batch_tokens // steps), steps
