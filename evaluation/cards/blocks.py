"""How does each block of a card read: a few words about what was asked, and a table of what came out?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scipy.stats import kendalltau

from twingym.evaluation.cards.markdown import bounded, markdown_table

TOO_FEW = "too few people"
Block = Mapping[str, Any]


def forecast(block: Block, likelihood: Block) -> list[str]:
    """Errors between what anybody would say and what nobody can beat."""
    worlds = ("twin", "oracle", "persistence")
    rows = [
        (label, *(f"{found[score][world]:.3g}" for score in ("crps", "rmse") for world in worlds))
        for label, found in block["errors"].items()
    ]
    head = ("ahead", *(f"{score} {world}" for score in ("CRPS,", "RMSE,") for world in ("twin model", *worlds[1:])))
    likely = [
        (name, bounded(found["nll"]), "" if found["naive"] is None else f"{found['naive']:.3g}")
        for name, found in likelihood.items()
    ]
    return [
        "## Forecasts",
        f"How far off is what it says of {block['people']:,} people's future? CRPS scores whole distributions, RMSE "
        "their means; lower is better. Persistence repeats the last value. The oracle is the judge itself, which knows "
        "hidden states too: nobody can do better.",
        markdown_table(head, rows),
        "Negative log likelihood of every next observation, nats per value on the model's scale; the naive forecast is "
        "a Gaussian around the last value, or how often each level occurs.",
        markdown_table(("variable", "twin model", "naive"), likely),
    ]


def effects(block: Block, step: str) -> list[str]:
    """Effects of changed doses."""
    measures = ("effect", "reference", "ratio", "correlation", "pehe")
    rows = [
        (dose, *(bounded(found[measure]) for measure in measures), f"{found['spread'][0]:.3g}")
        for dose, found in block["doses"].items()
    ]
    first = [
        (dose, *(bounded(found["first_step"][measure]) for measure in ("effect", "reference", "pehe")))
        for dose, found in block["doses"].items()
    ]
    outcomes = [(dose, f"{found['crps']:.3g}", f"{found['excess']:.2g}") for dose, found in block["outcomes"].items()]
    head = ("dose", "effect", "judge's", "ratio", "correlation", "error of a person's", "spread of the judge's")
    return [
        "## Effects",
        f"What does another dose do after the same past with the same luck? {block['people']:,} people, "
        f"{block['samples']} futures per dose in each world. Correlation is over people; the error of a person's "
        "effect (PEHE, root mean square) is to be compared with the spread, which is how wrong the mean effect would "
        "be for each person. The chance of finitely many futures is taken off.",
        markdown_table(head, rows),
        f"The same after one step of {step}:",
        markdown_table(("dose", "effect", "judge's", "error of a person's"), first),
        "Outcomes under each dose: CRPS of the twin model's futures for the judge's, and how much of that is beyond "
        "what the judge's own futures score. The judge knows hidden states, so some of it is left to any model.",
        markdown_table(("dose", "CRPS", "of which excess"), outcomes),
    ]


def curve(block: Block) -> list[str]:
    """Outcomes by factor on all doses."""
    rows = [
        (factor, f"{point['twin']:.4g}", f"{point['reference']:.4g}", bounded(point["difference"]))
        for factor, point in block["curve"].items()
    ]
    return [
        f"Everything that was scheduled, times a factor, for {block['people']:,} people. The twin model orders the "
        f"factors as the judge does at Kendall's tau {block['tau']:.2g}, over {block['pairs']} pairs that differ.",
        markdown_table(("factor", "twin model", "judge", "difference"), rows),
    ]


def paths(block: Block) -> list[str]:
    """Time to first, number and length of spells."""
    rows = []
    for label, event in block["events"].items():
        for measure, told in (
            ("share", "share of futures with it"),
            ("first", f"time until it, {block['unit']}"),
            ("spells", "spells"),
            ("time", f"time in it, {block['unit']}"),
        ):
            found = event[measure]
            rows.append(
                (label, told, f"{found['twin']:.3g}", f"{found['reference']:.3g}", bounded(found["difference"]))
            )
        run = event["run"]
        mine, theirs, apart = (
            "" if run[name] is None else f"{run[name]:.3g}" for name in ("twin", "reference", "distance")
        )
        rows.append((label, f"length of a spell, {block['unit']}", mine, theirs, apart and f"{apart} (distance)"))
    return [
        f"What do {block['people']:,} people meet in the {block['steps']} steps after the same past? Courses that "
        "jitter more cross a threshold more often, even if each step alone is right. The distance is Wasserstein's.",
        markdown_table(("event", "measure", "twin model", "judge", "difference"), rows),
    ]


def calibration(block: Block, variable: str) -> list[str]:
    """Coverage, scores and groups by steps ahead."""
    of_variable = block["variables"][variable]
    levels = list(next(iter(of_variable.values()))["coverage"])
    named = [f"{float(level):.0%}" for level in levels]
    rows = [
        (
            step,
            f"{found['crps']:.4g}",
            *(f"{share:.3f}" for share, _, _ in found["coverage"].values()),
            f"{found['ks']:.3f}",
            "" if found["variance_ratio"] is None else f"{found['variance_ratio']:.2f}",
            f"{block['energy'][step]:.3f}",
        )
        for step, found in of_variable.items()
    ]
    others = [
        (name, *_worst({step: found["coverage"] for step, found in by_step.items()}))
        for name, by_step in block["variables"].items()
    ]
    groups = [
        (trait, level, f"{max(found['people'] for found in by_step.values()):,}", *_worst(shares))
        for trait, by_level in block["groups"].items()
        for level, by_step in by_level.items()
        if (shares := {step: found["coverage"] for step, found in by_step.items() if found["coverage"]})
    ]
    return [
        f"Do forecasts mean what they say? If they do, half of what happens lies in the intervals of 50 %, and so on. "
        f"{block['people']:,} people, {block['samples']} futures each. For {variable}: coverage by level, Kolmogorov's "
        "distance of the ranks from uniform, the variance of futures over that of what happened, and the energy score "
        "of all variables together, in standard deviations.",
        markdown_table(("steps ahead", "CRPS", *named, "KS", "variance ratio", "energy score"), rows),
        "Where each variable is furthest from its level:",
        markdown_table(("variable", "level", "steps ahead", "coverage"), others),
        f"### Groups: {variable}",
        markdown_table(("trait", "group", "people", "worst level", "steps ahead", "coverage"), groups),
        *_recalibrated(block["recalibration"]),
    ]


def _recalibrated(block: Block | None) -> list[str]:
    if not block:
        return []
    rows = [
        (
            step,
            f"{found['crps']:+.2%}",
            *(f"{before:.3f} to {after:.3f}" for before, after in (found["coverage"], found["pce"])),
        )
        for step, found in block.items()
    ]
    return [
        "### Recalibration",
        "What bending the forecasts to what held true for validation people would gain: CRPS, and before to after, the "
        "worst distance of coverage from its level and the mean distance of ranks from uniform. Near nothing is good.",
        markdown_table(("steps ahead", "gain in CRPS", "coverage", "ranks"), rows),
    ]


def _worst(coverage: Mapping[str, Mapping[str, Sequence[float]]]) -> tuple[str, str, str]:
    """Level, steps ahead and coverage where it is furthest from its level."""
    everywhere = [
        (abs(share - float(level)), f"{float(level):.0%}", step, f"{share:.3f}")
        for step, levels in coverage.items()
        for level, (share, _, _) in levels.items()
    ]
    _, *found = max(everywhere)
    return found[0], found[1], found[2]


def policies(block: Block) -> list[str]:
    """Values of policies under both."""
    rows = [(name, *(f"{value:.4g}" for value in numbers)) for name, numbers in block["values"].items()]
    mine, theirs, _ = zip(*block["values"].values(), strict=True)
    every = kendalltau(mine, theirs).statistic
    return [
        f"Would it choose the same policy? Kendall's tau {block['tau']:.2g} over {block['pairs']} pairs that the judge "
        f"tells apart, {block['close_pairs']} of them close ({every:.2g} over all pairs, also those that differ by "
        f"chance); who follows the twin model loses {block['regret']:.1%} of the range.",
        markdown_table(("policy", "twin model", "judge", "standard error"), rows),
    ]


def fairness(block: Block, groups: Block) -> list[str]:
    """Worst gaps, and errors of every policy's value by group."""

    def told(gap: Block | None) -> str:
        return TOO_FEW if gap is None else f"{gap['gap']:.3g} at {gap['steps']}"

    def valued(gap: Block | None) -> str:
        return TOO_FEW if gap is None else f"{bounded(gap['gap'])}, {gap['policy']}"

    worst = [
        (trait, told(found["crps"]), told(found["coverage"]), valued(found["value"])) for trait, found in block.items()
    ]
    parts = [
        "Is it as good for everybody? Largest gaps between groups: of CRPS (a share of the smaller) and coverage of "
        "90 %, at so many steps ahead, and of the error of a policy's value. That gap is the largest of many, so it is "
        "above 0 by chance alone; the lower end of its interval is not.",
        markdown_table(("trait", "CRPS", "coverage", "value of a policy"), worst),
    ]
    for trait, found in groups.items():
        levels = list(found["people"])
        rows = [
            (
                policy,
                *(bounded(by_level[level]) for level in levels),
                bounded(found["gaps"][policy]) if found["gaps"] else TOO_FEW,
            )
            for policy, by_level in found["errors"].items()
        ]
        parts += [
            f"Value on the twin model minus the judge's, by {trait}:",
            markdown_table(("policy", *(f"{level} ({found['people'][level]:,})" for level in levels), "gap"), rows),
        ]
    return parts


def shift(block: Block) -> list[str]:
    """Forecasts under other treatments."""
    measures = ("people", "crps", "coverage", "bias")
    rows = [
        (
            name,
            "" if found["error"] is None else bounded(found["error"]),
            *("" if found[measure] is None else f"{found[measure]:.3g}" for measure in measures),
            *(f"{found[measure]:.3g}" for measure in ("ended", "ended_reference")),
        )
        for name, found in block.items()
    ]
    factors = ", ".join(f"{factor:.2g}" for factor in block["adversarial"]["factors"])
    return [
        "How good are forecasts, at the longest of the plan's horizons, where people are treated otherwise than in the "
        "training data? Random: doses of other people and times; aggressive: the largest factor; doubted: of eight "
        "schedules the one under which the heads disagree most; adversarial: what a search on other people found to "
        f"put it furthest from the judge (factors {factors}). The error is that of a person's mean forecast, chance "
        "taken off.",
        markdown_table(
            ("treatment", "error", "people", "CRPS", "coverage of 90 %", "bias", "ended", "ended on the judge"), rows
        ),
    ]


def two_sample(block: Block) -> list[str]:
    """Two-sample scores beside their controls."""
    measures = ("mmd", "p", "discriminative", "predictive", "autocorrelation", "cross_correlation")
    named = {"twin": "twin model", "positive": "judge, other people", "negative": "judge without memory"}
    rows = [
        (told, *(bounded(found) if isinstance(found := block[name][m], list) else f"{found:.3g}" for m in measures))
        for name, told in named.items()
    ]
    return [
        f"Could anybody tell its courses from the judge's? Windows of {block['people']} people on each side, of "
        f"{', '.join(block['channels'])}: squared maximum mean discrepancy and its p-value, accuracy of a classifier "
        "less one half, error of a forecaster that learned from these windows on the judge's, and errors of "
        "correlations. The first control must not be rejected, the second must be.",
        markdown_table(("windows of", "MMD²", *measures[1:]), rows),
    ]


def speed(block: Block) -> list[str]:
    """Steps per CPU second."""
    rows = [
        (batch, f"{found['twin']:,.0f}", f"{found['reference']:,.0f}", f"{found['ratio']:.2f}")
        for batch, found in block.items()
    ]
    return [
        "Steps of one person per CPU second, with everything that an episode needs, where this card was computed.",
        markdown_table(("people at a time", "twin model", "judge", "ratio"), rows),
    ]


def exploited(field: Block) -> list[str]:
    """Return what remains of what agents were promised: a paragraph and a table; or why nothing is known of it."""
    block = field["value"]
    if not block:
        return [f"Not computed. {field['reason']}"]
    rows = [
        (
            name,
            *(bounded(found[measure]) for measure in ("promised", "kept")),
            bounded(found["gap"]["return"]),
            ", ".join(found["violations"]) or "none",
            ", ".join(n for n, limit in found["limits"].items() if limit["reference"]["verdict"] == "fail") or "none",
            " / ".join("unknown" if doubt is None else f"{doubt:.3g}" for doubt in found["disagreement"]),
        )
        for name, found in block["agents"].items()
    ]
    head = ("agent", "gain promised", "gain kept", "return gap", "broken unforeseen", "broken", "disagreement")
    return [
        "An agent finds the errors that pay. Agents trained in the twin model, on "
        f"{block['people']:,} held-out people over {block['steps']:,} steps: gain over the baseline on the twin model "
        "and under the judge, the difference of returns, limits that are broken under the judge (and those that did "
        "not seem broken on the twin model), and disagreement of the heads on the agent's way / on the baseline's.",
        markdown_table(head, rows),
    ]
