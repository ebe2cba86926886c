"""Who are the customers, when do they buy, and how do they take being contacted: the reference dynamics of Retention.

Without contact this is the BG/NBD model (Fader, Hardie and Lee 2005, Marketing Science 24:275) with Gamma-Gamma
spend (Fader and Hardie 2013, note 25), simulated exactly, week by week. What contact does (uplift, habituation,
disengagement) has no published calibration: the constants are assumptions, and any of them can be varied. The form
of habituation and disengagement follows StepCountJITAI (Karine and Marlin 2024, arXiv 2411.00336).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from scipy.special import betaincinv, expit, gammaincinv, logit

from twingym.twins.cohort import Cohort, Population, Rows
from twingym.twins.errors import unknown
from twingym.twins.scales import Floats

EQUATIONS = """\
Without contact, customers are BG/NBD (Fader, Hardie and Lee 2005) with Gamma-Gamma spend (Fader and Hardie 2013):

```text
rate of purchases  lambda ~ Gamma(r, alpha)         per week, while alive
chance to leave    p ~ Beta(a, b)                   after each purchase
dollars            z ~ Gamma(p, nu) per purchase,   nu ~ Gamma(q, gamma)
visits             Poisson with browsing times the rate of purchases
```

A contact multiplies the rate of its week by `exp(uplift response (1 - habituation) c)`, with `c = 1` on the preferred
channel and `wrong_channel` on the other. In a week with contact `habituation` rises by `habituation_gain`, else it
shrinks by the share `habituation_loss`. A contact on the wrong channel adds `disengagement_gain` to `disengagement`,
one on the right channel takes the share `disengagement_loss` off; above `opt_out_above` consent is withdrawn for good
(in the form of StepCountJITAI, Karine and Marlin 2024). With `disparity` above 0, age and income move the preferred
channel, how fast contact wears off, and the uplift (`draw_people`). Weeks are simulated exactly.
"""

NONE, EMAIL, COUPON, CALL = range(4)
CONTACTS = ("none", "email", "email_coupon", "call")
AGES = ("younger", "middle", "older")
INCOMES = ("lower", "middle", "higher")
ORIGINS = ("web", "store", "phone")
CHANNELS = ("email", "phone")
MOST_PURCHASES = 12  # a week; ten million weeks see no more
MOST_VISITS = 15  # a week, without a purchase
MOST_SPEND = 5000.0  # dollars a week


@dataclass(frozen=True)
class Constants:
    """Every number of the scenario; units and sources stand in ``PROVENANCE`` of scenarios/retention/scenario.py."""

    purchase_shape: float = 0.243
    purchase_weeks: float = 4.414
    dropout_a: float = 0.793
    dropout_b: float = 2.426
    spend_shape: float = 6.25
    spend_spread: float = 3.74
    spend_scale: float = 15.44
    uplift_email: float = 0.3
    uplift_coupon: float = 0.6
    uplift_call: float = 0.8
    wrong_channel: float = 0.5
    habituation_start: float = 0.1
    habituation_gain: float = 0.05
    habituation_loss: float = 0.1
    disengagement_start: float = 0.1
    disengagement_gain: float = 0.4
    disengagement_loss: float = 0.1
    opt_out_above: float = 0.99
    margin: float = 0.3
    message_cost: float = 0.1
    coupon_share: float = 0.1
    call_cost: float = 3.0
    browsing: float = 4.0
    share_store: float = 0.25
    share_phone: float = 0.15
    phone_if_web: float = 0.1
    phone_if_store: float = 0.4
    phone_if_phone: float = 0.9
    disparity: float = 0.5
    age_on_channel: float = 2.0
    income_on_channel: float = 1.0
    age_on_habituation: float = 1.0
    income_on_uplift: float = 0.5

    @property
    def mean_spend(self) -> float:
        """Expected dollars per purchase over all customers."""
        return self.spend_shape * self.spend_scale / (self.spend_spread - 1.0)


def draw_people(constants: Constants) -> Population:
    """Return the customers that these constants describe; traits say nothing about purchases or spend.

    With ``disparity`` above 0, age and income move the preferred channel, how fast contact wears off, and the uplift.
    Traits that may be fixed: ``age_band``, ``income_band`` and ``acquired_via``.
    """

    def draw(numbers: Floats, fixed: Mapping[str, float]) -> tuple[dict[str, Floats], dict[str, Floats]]:
        c = constants
        edges = np.cumsum([1.0 - c.share_store - c.share_phone, c.share_store])
        traits = {
            "age_band": np.floor(3.0 * numbers[:, 3]),
            "income_band": np.floor(3.0 * numbers[:, 4]),
            "acquired_via": np.searchsorted(edges, numbers[:, 5], side="right").astype(np.float64),
        }
        for name, value in fixed.items():
            if name not in traits:
                raise unknown("trait that can be fixed", name, traits)
            traits[name] = np.full(len(numbers), float(value))
        age, income = c.disparity * (traits["age_band"] - 1.0), c.disparity * (traits["income_band"] - 1.0)
        phone = np.array([c.phone_if_web, c.phone_if_store, c.phone_if_phone])[traits["acquired_via"].astype(np.intp)]
        lean = logit(phone) + c.age_on_channel * age - c.income_on_channel * income
        hidden = {
            "rate": gammaincinv(c.purchase_shape, numbers[:, 0]) / c.purchase_weeks,  # purchases a week while alive
            "dropout": betaincinv(c.dropout_a, c.dropout_b, numbers[:, 1]),  # chance to leave after a purchase
            "spend_rate": gammaincinv(c.spend_spread, numbers[:, 2]) / c.spend_scale,  # per dollar
            "phone": (numbers[:, 6] < expit(lean)).astype(np.float64),  # prefers the phone
            "wear": c.habituation_gain * np.exp(c.age_on_habituation * age),  # habituation per contact
            "response": np.exp(c.income_on_uplift * income),  # multiplies every uplift
        }
        return traits, hidden

    return Population(draw=draw, width=7, seed=2005)


@dataclass
class RetentionState:
    """What the reference remembers of N people, each of shape (N,).

    The first six never change; ``alive`` and ``consent`` are 0 or 1, ``habituation`` and ``disengagement`` in [0, 1].
    """

    rate: Floats
    dropout: Floats
    spend_rate: Floats
    phone: Floats
    wear: Floats
    response: Floats
    alive: Floats
    habituation: Floats
    disengagement: Floats
    consent: Floats


STATE_FIELDS = tuple(field.name for field in fields(RetentionState))


def poisson(mean: Floats, number: Floats, most: int) -> Floats:
    """Return the Poisson counts of these means at uniform ``number``, both (N,), at most ``most``."""
    count, term = np.zeros(len(mean)), np.exp(-mean)
    total = term.copy()
    for k in range(1, most + 1):
        more = number > total
        if not more.any():
            break
        count += more
        term = term * mean / k
        total = total + term
    return count


class RetentionReference:
    """Customers who buy, spend, drift away, get used to being contacted, and may withdraw their consent.

    The action is the number of a contact (0 none, 1 email, 2 email with coupon, 3 call). Observed are purchases and
    dollars of the week, consent, and visits without a purchase, which come at the purchase rate times ``browsing``;
    for auditors also whether the customer still buys at all, habituation, disengagement, the purchase rate without
    contact, and the preferred channel (0 email, 1 phone).
    """

    noise_width = 4

    def __init__(self, constants: Constants) -> None:
        """Prepare for customers under ``constants``."""
        self.constants = constants
        self.uplift = np.array([0.0, constants.uplift_email, constants.uplift_coupon, constants.uplift_call])

    def initial(self, cohort: Cohort, inputs: Floats, noise: Floats) -> tuple[RetentionState, Floats]:
        """Begin with the first purchase, which made them customers; see :class:`~twingym.twins.dynamics.Dynamics`."""
        n = len(cohort)
        state = RetentionState(
            **cohort.hidden,
            alive=np.ones(n),
            habituation=np.full(n, self.constants.habituation_start),
            disengagement=np.full(n, self.constants.disengagement_start),
            consent=np.ones(n),
        )
        purchases = np.ones(n)
        return state, self._observe(state, purchases, np.zeros(n), noise)

    def step(
        self, state: RetentionState, action: Floats, inputs: Floats, noise: Floats
    ) -> tuple[RetentionState, Floats]:
        """Move one week; see :class:`~twingym.twins.dynamics.Dynamics`."""
        c, contact = self.constants, action[:, 0].astype(np.intp)
        contacted, fits = contact > NONE, (contact == CALL) == (state.phone > 0.0)
        felt = self.uplift[contact] * state.response * (1.0 - state.habituation) * np.where(fits, 1.0, c.wrong_channel)
        # While alive purchases are Poisson, and each is the last one with the person's own chance: the number of the
        # purchase after which they leave is geometric, so the week is exact.
        mean = state.rate * np.exp(felt) * state.alive
        visits = poisson(c.browsing * mean, noise[:, 3], MOST_VISITS)
        tried = poisson(mean, noise[:, 0], MOST_PURCHASES)
        purchases = tried.copy()
        buyers = np.flatnonzero(tried)
        last = np.ceil(np.log(noise[buyers, 1]) / np.log1p(-state.dropout[buyers]))
        purchases[buyers] = np.minimum(tried[buyers], last)
        state.alive[buyers] = state.alive[buyers] * (tried[buyers] < last)

        worn = np.minimum(1.0, state.habituation + state.wear)
        state.habituation = np.where(contacted, worn, (1.0 - c.habituation_loss) * state.habituation)
        pleased = (1.0 - c.disengagement_loss) * state.disengagement
        annoyed = np.minimum(1.0, state.disengagement + c.disengagement_gain)
        state.disengagement = np.where(contacted, np.where(fits, pleased, annoyed), state.disengagement)
        state.consent = state.consent * (state.disengagement <= c.opt_out_above)
        return state, self._observe(state, purchases, visits, noise)

    def restart(
        self, state: RetentionState, rows: Rows, cohort: Cohort, inputs: Floats, noise: Floats
    ) -> tuple[RetentionState, Floats]:
        """Begin new courses in ``rows``; see :class:`~twingym.twins.dynamics.Dynamics`."""
        fresh, observed = self.initial(cohort, inputs, noise)
        # The constant fields may still be the cohort's own arrays: never write into those.
        state = self.take(state, np.arange(len(state.alive)))
        for name in STATE_FIELDS:
            getattr(state, name)[rows] = getattr(fresh, name)
        return state, observed

    def take(self, state: RetentionState, rows: Rows) -> RetentionState:
        """Copy ``rows``; see :class:`~twingym.twins.dynamics.Dynamics`."""
        return RetentionState(**{name: getattr(state, name)[rows] for name in STATE_FIELDS})

    def _spend(self, state: RetentionState, purchases: Floats, number: Floats) -> Floats:
        """Dollars spent on ``purchases``: a sum of x Gamma amounts is Gamma with x times the shape."""
        dollars = np.zeros(len(purchases))
        rows = np.flatnonzero(purchases)
        shape = self.constants.spend_shape * purchases[rows]
        dollars[rows] = np.minimum(gammaincinv(shape, number[rows]) / state.spend_rate[rows], MOST_SPEND)
        return dollars

    def _observe(self, state: RetentionState, purchases: Floats, visits: Floats, noise: Floats) -> Floats:
        spend = self._spend(state, purchases, noise[:, 2])
        hidden = (state.alive, state.habituation, state.disengagement, state.rate, state.phone)
        return np.stack([purchases, spend, state.consent, visits, *hidden], axis=1)
