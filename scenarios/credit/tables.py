"""How are credit scores spread, how well does a score pay, and at which scores should a lender begin to grant?

Legend of shapes: G = groups, K = scores, ... = any leading axes (the thresholds of many populations at once).

Liu et al. 2018 (Delayed Impact of Fair Machine Learning, ICML, arXiv 1803.04383) choose thresholds that maximise a
lender's profit, alone (max-utility), at equal shares of granted applications (demographic parity), or at equal shares
of those granted who would have repaid (equal opportunity).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import betainc, expit

from twingym.twins.errors import SpecError, unknown
from twingym.twins.scales import Floats

LOWEST, HIGHEST = 300.0, 850.0  # points, of FICO scores
GROUPS = ("black", "white")
# Percent of all people by FICO score, from 300 in steps of 50: what a percentile of the tables is on that scale. As in
# the code of Liu et al. 2018 (``fico.py``), which does not say where they come from: to us an assumption.
NATIONAL = (2.1, 4.2, 5.4, 6.5, 7.9, 9.6, 12.0, 13.8, 17.0, 15.8, 5.7)
COLUMNS = {"black": "Black", "white": "Non- Hispanic white"}  # as the tables call them


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Shares of people and chances to repay by score and group.

    Attributes:
        scores: Rising, points, (K,).
        shares: Of each group's people, (G, K); rows sum to 1.
        repay: Chance that who has this score repays a loan, (G, K).
        people: Share of each group among applicants, (G,); sums to 1.
    """

    scores: Floats
    shares: Floats
    repay: Floats
    people: Floats

    def __repr__(self) -> str:
        """Say how much there is, not all of it."""
        low, high = self.scores[[0, -1]]
        return f"ScoreTable({len(self.people)} groups, {len(self.scores)} scores from {low:g} to {high:g} points)"

    def pooled(self) -> ScoreTable:
        """Return the table of a lender who does not know groups: one group, of everybody."""
        of_all = self.people[:, None] * self.shares
        together = of_all.sum(axis=0)
        repay = np.average(self.repay, axis=0, weights=np.maximum(of_all, 1e-300))
        return ScoreTable(self.scores, together[None], repay[None], np.ones(1))

    def draw(self, group: Floats, number: Floats) -> Floats:
        """Return scores (N,) of people of ``group`` (N,), at quantile ``number`` (N,) of it."""
        middle = self.shares.cumsum(axis=1) - 0.5 * self.shares
        return self._by_group(group, [np.interp(number, row, self.scores) for row in middle])

    def chance(self, group: Floats, score: Floats) -> Floats:
        """Return the chance to repay of people of ``group`` with ``score``, both (N,)."""
        return self._by_group(group, [np.interp(score, self.scores, row) for row in self.repay])

    def least(self, grants: Floats) -> Floats:
        """Return the scores (G,) above which ``grants`` (G, K) grants; a share at the margin moves it up the gap.

        Source: as Liu et al. draw thresholds.
        """
        first = np.argmax(grants > 0.0, axis=1)
        gap = np.diff(self.scores, append=self.scores[-1])[first]
        edge = self.scores[first] + (1.0 - np.take_along_axis(grants, first[:, None], axis=1)[:, 0]) * gap
        return np.where(grants.any(axis=1), edge, HIGHEST + 1.0)

    @staticmethod
    def _by_group(group: Floats, values: list[Floats]) -> Floats:
        return np.asarray(np.choose(np.asarray(group, dtype=np.intp), values))


@dataclass(frozen=True)
class Spread:
    """A group of the synthetic calibration: Beta-distributed scores, a logistic chance to repay.

    Attributes:
        mean: Mean score, points.
        sd: Standard deviation of scores, points.
        middle: Score at which one in two repays, points.
        width: Points over which the odds to repay grow e-fold.
    """

    mean: float
    sd: float
    middle: float
    width: float

    def shares(self, scores: Floats) -> Floats:
        """Shares of people by ``scores`` (K,), which are one apart."""
        place, span = (self.mean - LOWEST) / (HIGHEST - LOWEST), HIGHEST - LOWEST
        size = place * (1.0 - place) * (span / self.sd) ** 2 - 1.0
        if not (0.0 < place < 1.0 and size > 0.0):
            raise SpecError(
                f"scores with mean {self.mean} and standard deviation {self.sd} points; allowed: a mean between "
                f"{LOWEST:g} and {HIGHEST:g}, and less spread than if all were at either end."
            )
        edges = np.concatenate([[LOWEST], scores[:-1] + 0.5, [HIGHEST]])
        return np.asarray(np.diff(betainc(place * size, (1.0 - place) * size, (edges - LOWEST) / span)))


def synthetic(spreads: tuple[Spread, ...], people: tuple[float, ...]) -> ScoreTable:
    """Return the table of groups with these spreads and shares among applicants, in steps of one point."""
    scores = np.arange(LOWEST, HIGHEST + 1.0)
    return ScoreTable(
        scores,
        np.stack([spread.shares(scores) for spread in spreads]),
        np.stack([expit((scores - spread.middle) / spread.width) for spread in spreads]),
        np.array(people),
    )


def read_tables(distribution: Path, performance: Path, totals: Path) -> ScoreTable:
    """Read the tables of TransRisk scores by race from the Federal Reserve's report, as digitised by Hardt et al.

    Source: Board of Governors of the Federal Reserve System 2007, Report to the Congress on Credit Scoring; digitised
    for Hardt, Price and Srebro 2016 (Equality of Opportunity in Supervised Learning). The files name no licence, so
    they do not come with the package.

    Args:
        distribution: ``transrisk_cdf_by_race_ssa.csv``: column ``Score`` (percentile) and percent at or below, by race.
        performance: ``transrisk_performance_by_race_ssa.csv``: the same with percent who did not repay.
        totals: ``totals.csv``: people by race.

    Raises:
        SpecError: If a file is missing, or is no such table.
        UnknownNameError: If a column is missing.
    """
    below, bad = _columns(distribution, "Score"), _columns(performance, "Score")
    count = _columns(totals)
    percentile = below["Score"]
    if not np.array_equal(percentile, bad["Score"]) or not (np.diff(percentile) > 0.0).all():
        raise SpecError(
            f"{performance}: column 'Score' must rise and be that of {distribution}; give both of one report."
        )
    for path, table in ((distribution, below), (performance, bad)):
        for group in GROUPS:
            if not ((table[group] >= 0.0) & (table[group] <= 100.0)).all():
                raise SpecError(f"{path}: column {COLUMNS[group]!r} leaves 0 to 100 percent.")
    for group in GROUPS:
        if not (np.diff(below[group]) >= 0.0).all() or below[group][-1] != 100.0:
            raise SpecError(f"{distribution}: column {COLUMNS[group]!r} must rise to 100 percent.")
    people = np.array([count[group][0] for group in GROUPS])
    edges = np.linspace(LOWEST, HIGHEST, len(NATIONAL) + 1)
    return ScoreTable(
        np.interp(percentile, np.cumsum((0.0, *NATIONAL)), edges),
        np.stack([np.diff(below[group], prepend=0.0) for group in GROUPS]) / 100.0,
        np.stack([1.0 - bad[group] / 100.0 for group in GROUPS]),
        people / people.sum(),
    )


def _columns(path: Path, *further: str) -> dict[str, Floats]:
    """Return the groups' columns of a file, and ``further`` ones."""
    import pandas as pd  # only who reads files needs it

    if not path.is_file():
        raise SpecError(f"{path} does not exist; give the path of the digitised table.")
    table = pd.read_csv(path)
    wanted = {**COLUMNS, **{name: name for name in further}}
    for column in wanted.values():
        if column not in table.columns:
            raise unknown(f"column in {path}:", column, map(str, table.columns))
    return {name: table[column].to_numpy(dtype=np.float64) for name, column in wanted.items()}


# -- whom to grant -----------------------------------------------------------------------------------------------------


def profit(repay: Floats, earned: float, lost: float) -> Floats:
    """What a lender expects of a loan at these chances to repay, any shape, in repaid loans' earnings."""
    return np.asarray(earned * repay - lost * (1.0 - repay))


def worth_it(repay: Floats, chance: float) -> Floats:
    """Grant (...) where the chance to repay (...) is at least ``chance``."""
    return np.asarray(repay >= chance, dtype=np.float64)


def topmost(weight: Floats, amount: Floats) -> Floats:
    """Grant from the highest score down until this ``amount`` (..., ) of ``weight`` (..., K) is granted, (..., K)."""
    above = weight[..., ::-1].cumsum(axis=-1)[..., ::-1] - weight
    left = amount[..., None] - above
    return np.where(weight > 0.0, np.clip(left / np.where(weight > 0.0, weight, 1.0), 0.0, 1.0), left > 0.0)


def equalised(weight: Floats, gain: Floats, people: Floats) -> Floats:
    """Grant (..., G, K) the same amount of ``weight`` in each group, and as much as gains most.

    Args:
        weight: What is to be equal, by group and score, (..., G, K); sums to 1 over scores. Shares of people give
            demographic parity; shares of those who would repay give equal opportunity.
        gain: What a lender gains of granting everybody with a score, (..., G, K).
        people: Share of each group among applicants, (G,).
    """
    # Gain is linear in the amount between the amounts at which a score of some group is used up.
    used_up = weight[..., ::-1].cumsum(axis=-1)
    amounts = used_up.reshape(*used_up.shape[:-2], -1)  # (..., C)
    amounts = np.concatenate([np.zeros_like(amounts[..., :1]), np.minimum(amounts, 1.0)], axis=-1)
    grants = topmost(weight[..., None, :, :], amounts[..., None])  # (..., C, G, K)
    total = (grants * gain[..., None, :, :]).sum(axis=-1) @ people  # (..., C)
    best = total.argmax(axis=-1)[..., None, None, None]
    return np.take_along_axis(grants, best, axis=-3)[..., 0, :, :]


def demographic_parity(table: ScoreTable, earned: float, lost: float) -> Floats:
    """Grants (G, K) at equal shares of granted applications."""
    return equalised(table.shares, table.shares * profit(table.repay, earned, lost), table.people)


def equal_opportunity(table: ScoreTable, earned: float, lost: float) -> Floats:
    """Grants (G, K) at equal shares granted of those who would repay."""
    paying = table.shares * table.repay
    gain = table.shares * profit(table.repay, earned, lost)
    return equalised(paying / paying.sum(axis=1, keepdims=True), gain, table.people)
