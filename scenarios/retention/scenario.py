"""Retention: which customers should be contacted each week, how, and whom is it better to leave alone?"""

from __future__ import annotations

from functools import partial

from twingym.scenarios.bookkeeping import Bookkeeping
from twingym.scenarios.constraint import Constraint
from twingym.scenarios.intervention import Intervention
from twingym.scenarios.metric import Metric
from twingym.scenarios.mixture import Mixture
from twingym.scenarios.parameter import Parameter
from twingym.scenarios.retention.fidelity import PLAN
from twingym.scenarios.retention.reference import (
    AGES,
    CHANNELS,
    CONTACTS,
    EQUATIONS,
    INCOMES,
    MOST_PURCHASES,
    MOST_SPEND,
    MOST_VISITS,
    ORIGINS,
    Constants,
    RetentionReference,
    draw_people,
)
from twingym.scenarios.retention.rules import (
    CAP_CONTACTS,
    MOST_WEEKS,
    RULES,
    WEEKS,
    CustomerRecord,
    Ledger,
    came_back,
    contacted,
    coupon_sent,
    keep_cap,
    keep_consent,
    opted_out,
    over_cap,
    slipping,
    without_consent,
    wrong_channel,
)
from twingym.scenarios.scenario import Scenario
from twingym.twins.fit_config import FitConfig
from twingym.twins.transformer_config import TransformerConfig
from twingym.twins.variables import Variable

ID = "Retention-v0"
FADER = "Fader, Hardie and Lee 2005, Marketing Science 24:275 (CDNOW, 2,357 customers)"
GAMMA_GAMMA = "Fader and Hardie 2013, note 25 (CDNOW)"
JITAI = "StepCountJITAI: Karine and Marlin 2024, arXiv 2411.00336"
GUESS = "assumption"

PROVENANCE = {
    "purchase_shape": Parameter("", FADER, "r: shape of the purchase rate between customers."),
    "purchase_weeks": Parameter("weeks", FADER, "alpha: rate parameter of the purchase rate."),
    "dropout_a": Parameter("", FADER, "a: first shape of the chance to leave after a purchase."),
    "dropout_b": Parameter("", FADER, "b: second shape of that chance."),
    "spend_shape": Parameter("", GAMMA_GAMMA, "p: shape of the dollars of one purchase."),
    "spend_spread": Parameter("", GAMMA_GAMMA, "q: shape of mean spend between customers."),
    "spend_scale": Parameter("dollars", GAMMA_GAMMA, "v: scale of mean spend."),
    "uplift_email": Parameter("log rate", GUESS, "Added to the log purchase rate in the week of an e-mail."),
    "uplift_coupon": Parameter("log rate", GUESS, "The same for an e-mail with a coupon."),
    "uplift_call": Parameter("log rate", GUESS, "The same for a call."),
    "wrong_channel": Parameter("share", GUESS, "What is left of the uplift on the wrong channel."),
    "habituation_start": Parameter("share", JITAI, "Uplift that is lost at the first contact."),
    "habituation_gain": Parameter("share", JITAI, "Added by a contact."),
    "habituation_loss": Parameter("share", JITAI, "Forgotten in a week without contact."),
    "disengagement_start": Parameter("", JITAI, "Disengagement of a new customer."),
    "disengagement_gain": Parameter("", JITAI, "Added by a contact on the wrong channel."),
    "disengagement_loss": Parameter("share", JITAI, "Removed by a contact on the preferred channel."),
    "opt_out_above": Parameter("", JITAI, "Disengagement above which consent is withdrawn."),
    "margin": Parameter("share of spend", GUESS, "Earned on what is spent.", moves=False),
    "message_cost": Parameter("dollars", GUESS, "Cost of an e-mail, with or without coupon.", moves=False),
    "coupon_share": Parameter("share of spend", GUESS, "Value of a coupon, on what is spent in its week.", moves=False),
    "call_cost": Parameter("dollars", GUESS, "Cost of a call.", moves=False),
    # Conversion of one visit in five; shops report less, which would tell still more about who is alive.
    "browsing": Parameter("visits per purchase", GUESS, "Visits without a purchase, at the purchase rate times this."),
    "share_store": Parameter("share", GUESS, "Customers acquired in a store."),
    "share_phone": Parameter("share", GUESS, "Customers acquired by phone."),
    "phone_if_web": Parameter("probability", GUESS, "That who came by web prefers the phone."),
    "phone_if_store": Parameter("probability", GUESS, "That who came by store prefers the phone."),
    "phone_if_phone": Parameter("probability", GUESS, "That who came by phone prefers the phone."),
    "disparity": Parameter(
        "",
        GUESS,
        "How much age and income matter. At 0 no gap could ever break its limit; at 0.25 weekly e-mails to 3,000 "
        "people show the gaps of opting out by age and of contact by income (p < 0.01).",
    ),
    "age_on_channel": Parameter("log odds", GUESS, "Of preferring the phone, per age band and unit of disparity."),
    "income_on_channel": Parameter("log odds", GUESS, "Of preferring e-mail, per income band and unit of disparity."),
    "age_on_habituation": Parameter("log", GUESS, "Of habituation per contact, per age band and unit of disparity."),
    "income_on_uplift": Parameter("log", GUESS, "Of the uplift, per income band and unit of disparity."),
}

CAP_SOURCE = "assumption: marketing analogue of 12 CFR 1006.14(b)(2), which caps calls about a debt at 7 in 7 days"
CONSENT_SOURCE = "Regulation (EU) 2016/679, articles 7(3) and 21(3): no direct marketing after withdrawal"


def build(constants: Constants) -> Scenario:
    """Return the scenario under these constants."""
    record, ledger = CustomerRecord(constants), Ledger(constants)
    return Scenario(
        id=ID,
        title="Contacting the customers of a shop",
        kind="consumer",
        about=(
            "Weekly contact of new customers over their first year. Without contact they are BG/NBD customers with "
            "Gamma-Gamma spend, fitted to CDNOW; what contact does is assumed, and can be varied. A hidden preferred "
            "channel, habituation and disengagement make some contacts worthless and some the last one. The reference "
            "is itself a model."
        ),
        dt=1.0,
        dt_unit="weeks",
        horizon=WEEKS,
        ending="end",
        people=draw_people(constants),
        traits=(
            Variable("acquired_via", kind="categorical", levels=ORIGINS, about="Where the first purchase was made."),
            Variable(
                "age_band",
                kind="categorical",
                levels=AGES,
                audience="twin",
                about="Moves, in proportion to `disparity`, the log odds of preferring the phone and the log of "
                "habituation per contact (assumption); at disparity 0 nothing (tested).",
            ),
            Variable(
                "income_band",
                kind="categorical",
                levels=INCOMES,
                audience="twin",
                about="Moves, in proportion to `disparity`, the log odds of preferring e-mail and the log of the "
                "uplift (assumption); at disparity 0 nothing (tested).",
            ),
        ),
        variables=(
            Variable(
                "purchases",
                "",
                0.0,
                MOST_PURCHASES,
                kind="count",
                recurrent=True,
                track=True,
                about="Purchases of the week.",
            ),
            Variable(
                "spend",
                "dollars",
                0.0,
                MOST_SPEND,
                scale="log",
                knee=10.0,
                amount_of="purchases",
                track=True,
                about="Spent in the week.",
            ),
            Variable("consent", kind="binary", absorbing=True, track=True, about="Agrees to be contacted."),
            Variable(
                "visits",
                "",
                0.0,
                MOST_VISITS,
                kind="count",
                recurrent=True,
                about="Visits of the week without a purchase.",
            ),
            Variable(
                "alive", kind="binary", absorbing=True, audience="auditor", track=True, about="Still buys at all."
            ),
            Variable("habituation", "share", audience="auditor", track=True, about="Share of the uplift that is lost."),
            Variable("disengagement", "", audience="auditor", track=True, about="Consent goes above 0.99."),
            Variable(
                "rate",
                "1/week",
                0.0,
                5.0,
                scale="log",
                knee=0.02,
                audience="auditor",
                about="Without contact, if alive.",
            ),
            Variable("preferred_channel", kind="categorical", levels=CHANNELS, audience="auditor"),
        ),
        derived=(
            Variable("tenure", "weeks", 0.0, MOST_WEEKS, about="Since the first purchase."),
            Variable("frequency", "", 0.0, 200.0, scale="log", knee=1.0, about="Repeat purchases so far."),
            Variable("recency", "weeks", 0.0, MOST_WEEKS, scale="log", knee=2.0, about="Since the last purchase."),
            Variable(
                "weeks_since_visit", "weeks", 0.0, MOST_WEEKS, scale="log", knee=2.0, about="With or without buying."
            ),
            Variable("visits_so_far", "", 0.0, 500.0, scale="log", knee=2.0, about="Without a purchase."),
            Variable("mean_spend", "dollars", 0.0, MOST_SPEND, scale="log", knee=10.0, about="Per purchase so far."),
            Variable("contacts_3_weeks", "", 0.0, CAP_CONTACTS, kind="count", about="In the last three weeks."),
            Variable("weeks_since_contact", "weeks", 0.0, WEEKS, about="A year if there was none."),
            Variable("messages", "", 0.0, MOST_WEEKS, scale="log", knee=2.0, about="E-mails so far."),
            Variable("calls", "", 0.0, MOST_WEEKS, scale="log", knee=2.0, about="Calls so far."),
            Variable("contact_load", "", 0.0, 10.0, about="Contacts, each forgotten by a tenth per week."),
            Variable("p_alive", "probability", about="Still a customer, by BG/NBD from purchases alone."),
            Variable("p_alive_visits", "probability", about="The same from purchases and visits."),
            Variable("expected_rate", "1/week", 0.0, 5.0, scale="log", knee=0.02, about="Purchases if alive, by both."),
            Variable(
                "expected_spend", "dollars", 0.0, 500.0, scale="log", knee=0.5, about="Next week without contact."
            ),
        ),
        bookkeeping=Bookkeeping(record.start, record.update),
        interventions=(Intervention("contact", levels=CONTACTS, about="One contact a week, or none."),),
        reward=ledger.profit,
        constraints=(
            Constraint(
                "opt_out",
                opted_out,
                0.05,
                kind="cumulative",
                unit="opt-outs per customer above no contact",
                primary=True,
            ),
            Constraint(
                "contact_cap", over_cap, 0.0, unit="share of weeks", hard=True, enforce=keep_cap, source=CAP_SOURCE
            ),
            Constraint(
                "consent_kept",
                without_consent,
                0.0,
                unit="share of weeks",
                hard=True,
                enforce=keep_consent,
                source=CONSENT_SOURCE,
            ),
            Constraint("coupon_pressure", coupon_sent, 0.05, unit="share of weeks"),
            Constraint(
                "opt_out_gap_age",
                None,
                0.10,
                kind="group_gap",
                trait="age_band",
                metric="opt_out",
                unit="opt-outs per customer",
            ),
            Constraint(
                "contact_gap_income",
                None,
                0.05,
                kind="group_gap",
                trait="income_band",
                metric="contacted",
                unit="share of weeks",
            ),
        ),
        groups=("age_band", "income_band"),
        metrics=(
            Metric("contacted", "share of weeks", contacted, about="Weeks with a contact."),
            Metric("spend_per_week", "dollars", lambda step: step.after["spend"], better="more"),
            Metric("contact_cost", "dollars", ledger.cost, how="sum", better="less", about="Over the episode."),
            Metric("wrong_channel", "share of weeks", wrong_channel, better="less", about="Reference only."),
        ),
        need=slipping,
        benefit=came_back,
        reference=partial(RetentionReference, constants),
        rules=RULES,
        baseline="never",
        behaviour={"every_k_weeks": 4.0, "recency": 2.0, "p_alive": 2.0, "never": 1.0, "blanket": 1.0},
        # Rules contact those who are active anyway. What little a contact adds is seen best where chance decided.
        mixture=Mixture(clinician=0.1, exploratory=0.1, randomised=0.8),
        window=WEEKS + 1,
        network=TransformerConfig(ensemble_width=32),
        # Noise of the weights shows in effects worth cents: many small steps, averaged for long.
        fit=FitConfig(epochs=60, batches=120, batch_tokens=3500, ema=0.999),
        fidelity=PLAN,
        parameters=constants,
        provenance=PROVENANCE,
        rebuild=build,
        equations=EQUATIONS,
        sources=(
            FADER,
            "Fader, Hardie and Lee 2008, Computing P(alive) using the BG/NBD model (note 21)",
            GAMMA_GAMMA,
            JITAI,
            "Neslin et al. 2013, J. Acad. Mark. Sci. 41:320 (the recency trap)",
        ),
    )


SCENARIO = build(Constants())
