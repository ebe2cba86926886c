"""What does a customer database keep count of, what is earned, and who is contacted without learning?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from twingym.scenarios.retention.reference import CALL, COUPON, EMAIL, NONE, ORIGINS, Constants
from twingym.scenarios.rule import Rule, Settings
from twingym.scenarios.step import Step, Values
from twingym.twins.scales import Floats

WEEKS = 52
MOST_WEEKS = 104  # that counters show; an episode may be lengthened to two years
CAP_WEEKS, CAP_CONTACTS = 4, 3  # at most so many contacts in any so many weeks
LOAD_KEPT = 0.9  # of the contact load from week to week
PHONE = ORIGINS.index("phone")


@dataclass(frozen=True)
class CustomerRecord:
    """The customer database: counters, and what BG/NBD and Gamma-Gamma conclude from them if contact did nothing.

    Attributes:
        constants: The model's constants, as a company would have fitted them on customers left alone.
    """

    constants: Constants

    def start(self, now: Values) -> dict[str, Floats]:
        """Counters at the first purchase, which is week 0."""
        zeros = np.zeros(len(now["purchases"]))
        memory = {
            "tenure": zeros,
            "frequency": zeros,
            "last_purchase": zeros,
            "total_spend": now["spend"].copy(),
            "last_visit": zeros,
            "visits_so_far": zeros,
            "weeks_since_contact": np.full(len(zeros), float(WEEKS)),
            "messages": zeros,
            "calls": zeros,
            "contact_load": zeros,
            "weeks": np.zeros((len(zeros), CAP_WEEKS - 1)),  # whether contacted, oldest first
        }
        return {**memory, **self._concluded(memory)}

    def update(self, memory: Mapping[str, Floats], step: Step) -> dict[str, Floats]:
        """Counters after a week."""
        contact, bought = step.delivered["contact"], step.after["purchases"] > 0.0
        contacted, visits = contact > NONE, step.after["visits"]
        tenure = memory["tenure"] + 1.0
        kept = {
            "tenure": tenure,
            "frequency": memory["frequency"] + step.after["purchases"],
            "last_purchase": np.where(bought, tenure, memory["last_purchase"]),
            "total_spend": memory["total_spend"] + step.after["spend"],
            "last_visit": np.where(visits > 0.0, tenure, memory["last_visit"]),
            "visits_so_far": memory["visits_so_far"] + visits,
            "weeks_since_contact": np.where(contacted, 1.0, np.minimum(memory["weeks_since_contact"] + 1.0, WEEKS)),
            "messages": memory["messages"] + (contacted & (contact < CALL)),
            "calls": memory["calls"] + (contact == CALL),
            "contact_load": LOAD_KEPT * memory["contact_load"] + contacted,
            "weeks": np.concatenate([memory["weeks"][:, 1:], contacted[:, None].astype(np.float64)], axis=1),
        }
        return {**kept, **self._concluded(kept)}

    def _concluded(self, memory: Mapping[str, Floats]) -> dict[str, Floats]:
        c, x, tenure, bought = self.constants, memory["frequency"], memory["tenure"], memory["last_purchase"]
        visits, visited = memory["visits_so_far"], memory["last_visit"]
        # A visit counts like a purchase as evidence of the rate, and one after the last purchase proves who is alive.
        weight = 1.0 + c.browsing
        seen = np.where(visited > bought, 1.0, p_alive(x, weight * bought, weight * tenure, c, visits))
        rate = (c.purchase_shape + x + visits) / (c.purchase_weeks + weight * tenure)
        # Gamma-Gamma: the posterior mean of dollars per purchase after 1 + x purchases.
        shares = c.spend_spread - 1.0 + c.spend_shape * (x + 1.0)
        per_purchase = c.spend_shape * (c.spend_scale + memory["total_spend"]) / shares
        return {
            "recency": tenure - bought,
            "weeks_since_visit": tenure - np.maximum(visited, bought),
            "mean_spend": memory["total_spend"] / (x + 1.0),
            "contacts_3_weeks": memory["weeks"].sum(axis=1),
            "p_alive": p_alive(x, bought, tenure, c),
            "p_alive_visits": seen,
            "expected_rate": rate,
            "expected_spend": seen * rate * per_purchase,
        }


def p_alive(
    frequency: Floats, last_purchase: Floats, tenure: Floats, constants: Constants, visits: Floats | float = 0.0
) -> Floats:
    """Chance that a customer still buys, all arguments (N,), in weeks; BG/NBD closed form.

    Visits without a purchase, none since the last purchase, add to the evidence of the rate; weeks must then be
    multiplied by how often more a customer shows up than buys.

    Source: Fader, Hardie and Lee 2008, "Computing P(alive) using the BG/NBD model" (note 21); with visits the same
    derivation.
    """
    c, x = constants, np.maximum(frequency, 1.0)
    waited = np.log((c.purchase_weeks + tenure) / (c.purchase_weeks + last_purchase))
    odds_gone = np.log(c.dropout_a / (c.dropout_b + x - 1.0)) + (c.purchase_shape + x + visits) * waited
    return np.where(frequency > 0.0, expit(-odds_gone), 1.0)


# -- money and limits ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ledger:
    """What the company earns.

    Attributes:
        constants: Margin and prices.
    """

    constants: Constants

    def cost(self, step: Step) -> Floats:
        """Dollars that the week's contact costs; a coupon costs a share of what is spent."""
        contact, c = step.delivered["contact"], self.constants
        price = np.array([0.0, c.message_cost, c.message_cost, c.call_cost])[contact.astype(np.intp)]
        return np.asarray(price + c.coupon_share * step.after["spend"] * (contact == COUPON))

    def profit(self, step: Step) -> Floats:
        """Margin on the week's spend less the cost of contact, dollars."""
        return self.constants.margin * step.after["spend"] - self.cost(step)


def contacted(step: Step) -> Floats:
    """Whether the customer was contacted."""
    return np.asarray(step.delivered["contact"] > NONE, dtype=np.float64)


def over_cap(step: Step) -> Floats:
    """Whether this is the fourth contact in four weeks."""
    return contacted(step) * (step.before["contacts_3_weeks"] >= CAP_CONTACTS)


def keep_cap(now: Values, amounts: Values) -> Values:
    """Leave customers alone who were contacted three times in the last three weeks."""
    return Values(contact=np.where(now["contacts_3_weeks"] >= CAP_CONTACTS, NONE, amounts["contact"]))


def without_consent(step: Step) -> Floats:
    """Whether somebody was contacted who had withdrawn consent."""
    return contacted(step) * (1.0 - step.before["consent"])


def keep_consent(now: Values, amounts: Values) -> Values:
    """Leave customers alone who withdrew consent."""
    return Values(contact=np.where(now["consent"] > 0.0, amounts["contact"], NONE))


def opted_out(step: Step) -> Floats:
    """Whether consent was withdrawn in this week; without contact nobody does."""
    return step.before["consent"] * (1.0 - step.after["consent"])


def coupon_sent(step: Step) -> Floats:
    """Whether the contact carried a coupon."""
    return np.asarray(step.delivered["contact"] == COUPON, dtype=np.float64)


def slipping(step: Step) -> Floats:
    """Need: a customer with consent who has bought nothing for eight weeks."""
    return step.before["consent"] * (step.before["recency"] >= 8.0)


def came_back(step: Step) -> Floats:
    """Benefit: a slipping customer buys."""
    return slipping(step) * (step.after["purchases"] > 0.0)


def wrong_channel(step: Step) -> Floats:
    """Whether a contact came on the channel that the customer does not prefer; unknown (NaN) to a twin model."""
    preferred = step.before["preferred_channel"]
    wrong = contacted(step) * ((step.delivered["contact"] == CALL) != (preferred > 0.0))
    return np.where(np.isnan(preferred), np.nan, wrong)


# -- rules -----------------------------------------------------------------------------------------------------------

# What is sent, and what customers get instead who were acquired by phone and so probably dislike messages.
WAYS = {"contact": float(EMAIL), "phone_contact": float(NONE)}


def send(who: NDArray[np.bool_], now: Values, settings: Settings) -> dict[str, Floats]:
    """Contact those in the mask ``who`` who agree to it, by the channel that suits how they were acquired."""
    level = np.where(now["acquired_via"] == PHONE, settings["phone_contact"], settings["contact"])
    wanted = np.where(who & (now["consent"] > 0.0), np.rint(level), NONE)
    return {"contact": np.clip(wanted, NONE, CALL)}


def weeks(now: Values, name: str) -> Floats:
    """Return a whole number of weeks, which an observation in float32 holds only nearly."""
    return np.rint(now[name])


def rested(now: Values, settings: Settings) -> NDArray[np.bool_]:
    """Return whose last contact is at least ``gap`` weeks ago."""
    return np.asarray(weeks(now, "weeks_since_contact") >= settings["gap"])


def never(now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
    """Contact nobody."""
    return {"contact": np.zeros(len(now["tenure"]))}


def every_k_weeks(now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
    """Contact everybody every ``k`` weeks."""
    every = np.maximum(np.rint(settings["k"]), 1.0)
    return send(weeks(now, "tenure") % every == 0.0, now, settings)


def recency(now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
    """Contact who bought between ``after`` and ``until`` weeks ago."""
    waited = weeks(now, "recency")
    return send((waited >= settings["after"]) & (waited <= settings["until"]) & rested(now, settings), now, settings)


def probably_alive(now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
    """Contact who is still a customer with at least the probability ``least``."""
    return send((now["p_alive"] >= settings["least"]) & rested(now, settings), now, settings)


def blanket(now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
    """Send everybody a coupon every week, asked or not."""
    return {"contact": np.full(len(now["tenure"]), float(COUPON))}


# Levels of contact have no unit.
UNITS = {"k": "weeks", "after": "weeks", "until": "weeks", "gap": "weeks", "least": "chance"}
WAYS_GRID = {"phone_contact": (float(NONE), float(EMAIL), float(CALL))}
RULES = {
    "never": Rule(never, about="No contact: the BG/NBD model as published."),
    "every_k_weeks": Rule(
        every_k_weeks,
        {"k": 4.0, **WAYS},
        grid={"k": (1.0, 2.0, 4.0, 8.0, 13.0), **WAYS_GRID},
        units=UNITS,
        about="The same for everybody, every k weeks.",
    ),
    "recency": Rule(
        recency,
        {"after": 0.0, "until": 1.0, "gap": 2.0, **WAYS},
        grid={"after": (0.0, 2.0, 4.0), "until": (1.0, 2.0, 4.0, 8.0, 26.0), "gap": (1.0, 2.0, 4.0), **WAYS_GRID},
        units=UNITS,
        about="By weeks since the last purchase, as in Neslin et al. 2013 (J. Acad. Mark. Sci. 41:320).",
    ),
    "p_alive": Rule(
        probably_alive,
        {"least": 0.7, "gap": 8.0, **WAYS},
        grid={"least": (0.3, 0.5, 0.7, 0.8, 0.9), "gap": (1.0, 2.0, 4.0, 8.0), **WAYS_GRID},
        units=UNITS,
        about="By BG/NBD's chance to be alive, which is 1 before the first repeat purchase (Fader, Hardie, Lee 2008).",
    ),
    "blanket": Rule(blanket, about="A coupon for everybody every week: what the limits are there to prevent."),
}
