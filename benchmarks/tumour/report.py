"""What did the tumour benchmark show: a page of Markdown made of the table of cells and the published numbers.

``python -m benchmarks.tumour.report`` writes docs/tumour.md from benchmarks/results/tumour_counterfactual.csv.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from twingym.evaluation.cards.markdown import markdown_table

ROOT = Path(__file__).resolve().parents[2]
CELLS = ROOT / "benchmarks" / "results" / "tumour_counterfactual.csv"
PAGE = ROOT / "docs" / "tumour.md"
PUBLISHED = Path(__file__).parent / "published.csv"
LABELS = {
    "twin": "**twin model (ours)**",
    "causal_transformer": "Causal Transformer's size and form, ours, same arrays",
    "gru": "twin model, GRU backbone",
    "mlp": "twin model, Markov backbone",
    "persistence": "persistence",
    "bayes": "*Bayes reference*",
}
TITLES = {"one_step": "One step ahead", "sliding": "A single treatment that slides", "random": "Random plans"}
ENDS = (("one_step", 1), ("sliding", 6), ("random", 6))
TARGETS = (  # kind, tau, gamma, at most
    ("one_step", 1, 4, 1.10),
    ("sliding", 6, 4, 0.95),
    ("random", 6, 4, 0.80),
    ("one_step", 1, 2, 0.80),
    ("one_step", 1, 0, 0.75),
)
RATIO_TARGET = 1.28  # to Bayes, one step ahead at gamma 4


def page(cells: pd.DataFrame) -> str:
    """Return the page for a table of cells, as ``python -m benchmarks.tumour_counterfactual`` writes it."""
    published = pd.read_csv(PUBLISHED)
    original = cells[cells["form"] == "original"]
    models = [m for m in LABELS if m in set(original["model"])]
    main = original[original["model"].isin(models)]
    parts = [INTRODUCTION.format(seeds=", ".join(map(str, sorted(main["seed"].unique()))))]
    parts += ["## Targets", targets(main, published)]
    for kind, title in TITLES.items():
        parts.append(f"## {title}")
        ours, theirs = main[main["kind"] == kind], published[published["kind"] == kind]
        for gamma in sorted(ours["gamma"].unique()):
            parts += [f"Gamma {gamma:g}:", errors(ours[ours["gamma"] == gamma], theirs[theirs["gamma"] == gamma])]
    parts += ["## Without artefacts, and as distributions", QUALITY, quality(main)]
    if {"gru", "mlp"} & set(models):
        parts += ["## When attention pays", ATTENTION, attention(main)]
    cleaned = cells[cells["form"] == "cleaned"]
    if len(cleaned):
        seeds = ", ".join(map(str, sorted(cleaned["seed"].unique())))
        parts += ["## The cleaned form", CLEANED.format(seeds=seeds), ahead(cleaned, models)]
    changed = original[~original["model"].isin(models)]
    if len(changed):
        same = original[(original["model"] == "twin") & (original["gamma"] == 4)]
        same = same[same["seed"].isin(changed["seed"].unique())]
        seeds = ", ".join(map(str, sorted(changed["seed"].unique())))
        ablated = pd.concat([same, changed])
        parts += [
            "## One thing changed at a time",
            ABLATED.format(seeds=seeds),
            ahead(ablated, list(ablated["model"].unique())),
        ]
    parts += ["## Cost", COSTING, cost(cells)]
    return "\n\n".join(parts) + "\n"


INTRODUCTION = """# The tumour benchmark

<!-- written by python -m benchmarks.tumour.report -->

How well is the course of a tumour under other treatments forecast by a model that saw confounded treatment only?
The protocol is that of Melnychuk, Frauen & Feuerriegel (ICML 2022) in the authors' corrected repository: 10,000
patients to learn from, 1,000 to choose by, 1,000 to be asked about, 60 days; gamma says how much more often large
tumours are treated. Errors are root mean squares in per cent of the volume at which patients die (1150.35 cm3): means
over the seeds {seeds} of patients, plus or minus the standard deviation. Published rows are the authors' updated
tables: same simulator and seeds, other runs. The Bayes reference knows the equations and how patients differ, and
infers the rest from each patient's history: no model can be better but by luck.

`python -m benchmarks.tumour_counterfactual` makes every number (`--quick` a small one in minutes)."""

QUALITY = """A few rows carry most of the squared error: true answers that no tumour can have (below zero, beyond
death) and the first days, when nothing is known of anybody. Here is RMSE without the former, RMSE from the fourth day
on, CRPS (of a point forecast: its mean absolute error), and what share of true answers the central intervals of 50, 80,
90 and 95 % hold."""

ATTENTION = """The same heads, tokens, batches and rules of stopping on another backbone: a recurrent network (GRU), or
one that sees the last token alone (Markov). Ratios of our error to theirs, paired by seed, means and ranges: attention
pays where they are below 1. RMSE is that of a mean over paths; CRPS is that of the distribution, and suffers where
somebody's own growth, which shows over days, is not remembered."""

CLEANED = """Test patients are treated by the rule of all others, by their own diameters; treatment may begin on the
first day; answers are possible volumes. Seeds {seeds}."""

ABLATED = """Gamma 4, original form, seeds {seeds}. The *absolute head* predicts changes in cm3; *learned positions*
give every day a place of its own; *no late starts* shows every course from its first day only; the *multi-step
score* adds the energy score of sampled paths of five days to the likelihood; *one head* is no ensemble."""

COSTING = """Means and ranges over all fits on a CPU. Other work ran beside some of them, on the same core too, which
makes the same fit take longer; twin models also stop when they no longer improve."""


def seeds_of(cells: pd.DataFrame, model: str, kind: str, tau: int, gamma: float, column: str = "rmse") -> pd.Series:
    """Return one column by seed."""
    rows = cells[
        (cells["model"] == model) & (cells["kind"] == kind) & (cells["tau"] == tau) & (cells["gamma"] == gamma)
    ]
    return rows.set_index("seed")[column].sort_index()


def targets(cells: pd.DataFrame, published: pd.DataFrame) -> str:
    """Return what was aimed at, and whether it was reached."""
    rows = []
    for kind, tau, gamma, most in TARGETS:
        ours = seeds_of(cells, "twin", kind, tau, gamma)
        best = published[(published["kind"] == kind) & (published["tau"] == tau) & (published["gamma"] == gamma)]
        if len(ours):
            reached = "yes" if ours.mean() <= most else "**no**"
            what = f"{TITLES[kind].lower()}, tau {tau}, gamma {gamma}"
            rows.append((what, f"{ours.mean():.3f}", f"{most:.2f}", reached, f"{best['rmse'].min():.3f}"))
    ours, bound = (seeds_of(cells, model, "one_step", 1, 4) for model in ("twin", "bayes"))
    ratio = (ours / bound).dropna()
    if len(ratio):
        reached = "yes" if ratio.mean() <= RATIO_TARGET else "**no**"
        what = "ratio to Bayes, one step ahead, gamma 4"
        rows.append((what, f"{ratio.mean():.3f}", f"{RATIO_TARGET:.2f}", reached, ""))
    return markdown_table(("", "ours", "at most", "reached", "best published"), rows)


def errors(cells: pd.DataFrame, published: pd.DataFrame) -> str:
    """Return the errors of everybody for one kind of question and one gamma, by steps ahead."""
    taus, rows = sorted(cells["tau"].unique()), []
    kind, gamma = cells["kind"].iloc[0], cells["gamma"].iloc[0]
    for name, group in published.groupby("model", sort=False):
        found = group.set_index("tau")
        rows.append((f"{name}, published", *(_spread(found.loc[t, "rmse"], found.loc[t, "sd"]) for t in taus)))
    for model in (m for m in LABELS if m in set(cells["model"])):
        by = cells[cells["model"] == model].groupby("tau")["rmse"]
        rows.append((label(cells, model), *(_spread(by.mean().get(t), by.std().get(t)) for t in taus)))
    for other, what in (("bayes", "ours over Bayes, paired"), ("causal_transformer", "ours over the baseline, paired")):
        rows.append((f"*{what}*", *(_ratio(cells, other, kind, t, gamma) for t in taus)))
    return markdown_table(("", *(f"tau {t}" for t in taus)), rows)


def label(cells: pd.DataFrame, model: str) -> str:
    """Return what a model is called, and on how many seeds it was run where others were run on more."""
    seeds, most = cells.loc[cells["model"] == model, "seed"].nunique(), cells["seed"].nunique()
    return LABELS[model] + (f" ({seeds} of {most} seeds)" if seeds < most else "")


def _spread(mean: float | None, sd: float | None) -> str:
    if mean is None or np.isnan(mean):
        return ""
    return f"{mean:.3f}" + (f" ± {sd:.3f}" if sd is not None and np.isfinite(sd) else "")


def _ratio(cells: pd.DataFrame, other: str, kind: str, tau: int, gamma: float, column: str = "rmse") -> str:
    ours, theirs = (seeds_of(cells, model, kind, tau, gamma, column) for model in ("twin", other))
    ratios = (ours / theirs).dropna()
    return _with_range(ratios, digits=2)


def _with_range(values: pd.Series, digits: int) -> str:
    if values.empty:
        return ""
    mean, least, most = (f"{value:.{digits}f}" for value in (values.mean(), values.min(), values.max()))
    return f"{mean} ({least} to {most})"


def quality(cells: pd.DataFrame) -> str:
    """Return errors without artefacts, CRPS and coverage, one step and six steps ahead."""
    rows = []
    for gamma, (kind, tau) in product(sorted(cells["gamma"].unique()), ENDS):
        asked = cells[(cells["kind"] == kind) & (cells["tau"] == tau) & (cells["gamma"] == gamma)]
        for model in (m for m in LABELS if m in set(cells["model"])):
            one = asked[asked["model"] == model]
            if len(one):
                mean = one.mean(numeric_only=True)
                held = [mean[c] for c in one.columns if c.startswith("coverage")]
                cover = ", ".join(f"{v:.3f}" for v in held) if np.isfinite(held).all() else ""
                numbers = [f"{mean[c]:.3f}" for c in ("rmse_possible", "rmse_later", "crps")]
                what = f"{kind.replace('_', ' ')}, tau {tau}"
                rows.append((f"{gamma:g}", what, label(asked, model), *numbers, cover))
    return markdown_table(("gamma", "question", "model", "RMSE, possible", "RMSE, later", "CRPS", "coverage"), rows)


def attention(cells: pd.DataFrame) -> str:
    """Return by how much our errors differ from those of the same model on other backbones."""
    rows = []
    for gamma, (kind, tau) in product(sorted(cells["gamma"].unique()), ENDS):
        found = [_ratio(cells, m, kind, tau, gamma, column) for m in ("gru", "mlp") for column in ("rmse", "crps")]
        if any(found):
            rows.append((f"{gamma:g}", f"{kind.replace('_', ' ')}, tau {tau}", *found))
    head = ("over GRU, RMSE", "over GRU, CRPS", "over Markov, RMSE", "over Markov, CRPS")
    return markdown_table(("gamma", "question", *head), rows)


def ahead(cells: pd.DataFrame, models: Sequence[str]) -> str:
    """Return errors one step and six steps ahead."""
    columns = list(product(sorted(cells["gamma"].unique()), ENDS))
    rows = []
    for model in (m for m in models if m in set(cells["model"])):
        found = [cells_mean(cells, model, kind, tau, gamma) for gamma, (kind, tau) in columns]
        rows.append((LABELS.get(model, model), *found))
    return markdown_table(
        ("", *(f"gamma {g:g}, {kind.replace('_', ' ')}, tau {tau}" for g, (kind, tau) in columns)), rows
    )


def cells_mean(cells: pd.DataFrame, model: str, kind: str, tau: int, gamma: float) -> str:
    """Return the mean error over seeds, in three digits."""
    found = seeds_of(cells, model, kind, tau, gamma)
    return f"{found.mean():.3f}" if len(found) else ""


def cost(cells: pd.DataFrame) -> str:
    """Return how large the models are and how long their fits take."""
    fitted = cells.dropna(subset=["fit_seconds"]).drop_duplicates(["form", "gamma", "seed", "model"])
    rows = [
        (
            LABELS.get(str(model), str(model)),
            f"{group['parameters'].mean():,.0f}",
            _with_range(group["fit_seconds"], digits=0),
        )
        for model, group in fitted.groupby("model", sort=False)
    ]
    return markdown_table(("model", "parameters", "CPU seconds of a fit, one thread"), rows)


def write() -> Path:
    """Write the page of the committed table; returns its path."""
    PAGE.write_text(page(pd.read_csv(CELLS)), encoding="utf-8")
    return PAGE


if __name__ == "__main__":
    write()
