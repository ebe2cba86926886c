"""Theophylline: how fast should a drug with a narrow window run in? A scenario of one's own, in one file."""

from collections.abc import Mapping

import numpy as np
from scipy.special import ndtri

from twingym.scenarios import Constraint, Intervention, Rule, Scenario, Step, Values, Variable
from twingym.scenarios.rule import Settings
from twingym.twins.cohort import Cohort, Population
from twingym.twins.dynamics import ArrayDynamics
from twingym.twins.scales import Floats

POWELL = "Powell et al. 1977, Am. Rev. Respir. Dis. 116:17 (clearance, volume, smoking)"
HOLFORD = "Holford et al. 1993, Clin. Pharmacokinet. 25:495, 25:506 (target 10 mg/L, harm above 20 mg/L)"
Named = dict[str, Floats]
Moved = tuple[Floats, Floats]  # the state, and what is observed


def draw(numbers: Floats, fixed: Mapping[str, float]) -> tuple[Named, Named]:
    """Turn uniforms (N, 2) into people: smoking is recorded, clearance (L/h/kg) hidden."""
    smoking = np.full(len(numbers), fixed["smoking"]) if "smoking" in fixed else np.floor(numbers[:, 0] + 0.3)
    spread = np.exp(np.where(smoking, 0.3, 0.2) * ndtri(numbers[:, 1]))
    return {"smoking": smoking}, {"clearance": np.where(smoking, 0.063, 0.040) * spread}


class Reference(ArrayDynamics):
    """One compartment of 0.47 L/kg, solved exactly; the state is (2, N): true level and clearance."""

    noise_width = 1

    def initial(self, cohort: Cohort, inputs: Floats, noise: Floats) -> Moved:
        """Begin just after the loading dose of 4.6 mg/kg."""
        return self._seen(np.stack([np.full(len(cohort), 4.6 / 0.47), cohort.hidden["clearance"]]), noise)

    def step(self, state: Floats, action: Floats, inputs: Floats, noise: Floats) -> Moved:
        """Move four hours towards the level at which as much is cleared as runs in."""
        level, clearance = state
        balance = action[:, 0] / clearance
        level = balance + (level - balance) * np.exp(-4.0 * clearance / 0.47)
        return self._seen(np.stack([level, clearance]), noise)

    def _seen(self, state: Floats, noise: Floats) -> Moved:
        return state, (state[0] * np.exp(0.1 * ndtri(noise[:, 0])))[:, None]  # the laboratory errs by a tenth


def near_target(step: Step) -> Floats:
    """Reward: 1 at 10 mg/L, 0 at half or twice as much."""
    return 1.0 - np.abs(np.log2(step.after["level"] / 10.0))


LIMITS = (
    Constraint("above_20", lambda step: np.where(step.after["level"] > 20, 1.0, 0.0), 0.05, primary=True),
    Constraint("below_5", lambda step: np.where(step.after["level"] < 5, 1.0, 0.0), 0.05),
    Constraint("harm_gap", None, 0.10, kind="group_gap", trait="smoking", metric="above_20"),
)


def infuse(now: Values, memory: Named, settings: Settings) -> Named:
    """Give smokers and others a rate each, more of it below the target and less above."""
    rate = np.where(now["smoking"], settings["smoker"], settings["never"])
    return {"rate": rate * (10.0 / now["level"]) ** settings["gain"]}


RULES = {
    "nothing": Rule(infuse, {"never": 0.0, "smoker": 0.0, "gain": 0.0}),
    "one_rate": Rule(infuse, {"never": 0.7, "smoker": 0.7, "gain": 0.0}),
    "by_level": Rule(infuse, {"never": 0.4, "smoker": 0.7, "gain": 0.5}),
}

SCENARIO = Scenario(
    id="Theophylline-v0",
    title="Theophylline infusion in acute asthma",
    kind="patient",
    dt=4.0,
    dt_unit="h",
    horizon=18,
    people=Population(draw, width=2, seed=1977),
    traits=(Variable("smoking", kind="categorical", levels=("never", "smoker")),),
    variables=(Variable("level", "mg/L", 0.5, 60.0, scale="log", track=True),),
    interventions=(Intervention("rate", "mg/kg/h", 0.0, 1.5),),
    reward=near_target,
    constraints=LIMITS,
    groups=("smoking",),
    rules=RULES,
    baseline="one_rate",
    behaviour={"one_rate": 1.0, "by_level": 2.0},
    reference=Reference,
    band={"level": (5.0, 20.0)},
    window=18,
    sources=(POWELL, HOLFORD),
)
