"""How is a card read? As a page in Markdown: what was asked, what came out, what it means."""

from __future__ import annotations

from collections.abc import Sequence

from twingym.evaluation.cards import blocks
from twingym.evaluation.cards.blocks import Block
from twingym.evaluation.cards.markdown import markdown_table

PLOT = "card.png"
QUICK_FORM = "Not computed: quick form."
LIMITS = (
    "Do not use it on people, doses or horizons beyond those above, nor where a missed bar matters; of a policy that "
    "was trained in it nothing is claimed before it was judged outside it."
)


def page(content: Block) -> str:
    """Return a card as Markdown: what was measured, on whom, which bars were missed, and what the model is not for."""
    report, variable = content["report"], content["variable"]
    parts = [
        *_head(content),
        "## Bars",
        _bars(content["bars"]),
        *blocks.forecast(report["forecast"], report["likelihood"]),
    ]
    parts += blocks.effects(report["effects"], content["step"])
    slow = (
        ("dose_response", "Doses", blocks.curve),
        ("paths", "On the way", blocks.paths),
        ("calibration", "Calibration", lambda block: blocks.calibration(block, variable)),
        ("policies", "Policies", blocks.policies),
        ("fairness", "Fairness of the model", lambda block: blocks.fairness(block, report["policies"]["groups"])),
        ("shift", "Shift", blocks.shift),
        ("two_sample", "Two-sample scores", blocks.two_sample),
        ("speed", "Speed", blocks.speed),
    )
    for name, title, write in slow:
        parts += [f"## {title}", *(write(report[name]) if name in report else [QUICK_FORM])]
    parts += ["## Exploitability", *blocks.exploited(content["exploitability"])]
    parts += ["## What it must not be used for", f"{content['note']} {LIMITS}"]
    return "\n\n".join(parts) + "\n"


def _head(content: Block) -> list[str]:
    missed = [row for row in content["bars"] if not row["cleared"]]
    count = len(content["bars"])
    said = f"{len(missed)} of {count} bars missed" if missed else f"all {count} bars cleared"
    return [
        f"# Card of the twin model of {content['scenario']}",
        f"Judged by: **{content['judge']}**, on held-out people. {said[0].upper()}{said[1:]}. "
        f"{content['parameters']:,} parameters (weights' SHA-256 {content['weights'][:12]}...); a step is "
        f"{content['step']}.",
        *(f"- Missed: {row['check']} is {row['value']:.3g}, wanted {row['bar']}." for row in missed),
        "The twin model is a network that was fitted to recorded courses and now simulates people. Can what it says be "
        "believed? Here it meets people that it was not fitted on, who live on under the judge, and everything is "
        "compared: what comes next, what treatment does, which policy is better, and for whom it is wrong. Numbers in "
        "brackets are 95 % intervals over people. `twingym card` writes this page; all its numbers, and more, are in "
        "card.json beside it.",
        f"![Coverage, ranks, effects and policies at a glance]({PLOT})",
    ]


def _bars(rows: Sequence[Block]) -> str:
    cells = [(r["check"], f"{r['value']:.3g}", r["bar"], "yes" if r["cleared"] else "**no**") for r in rows]
    return markdown_table(("check", "value", "bar", "cleared"), cells)
