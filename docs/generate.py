"""Rewrite the tables of README.md from declarations, cards and benchmark results: ``python docs/generate.py``."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from twingym.evaluation.cards.markdown import markdown_table
from twingym.evaluation.cards.model_card import PAGE, read_card
from twingym.evaluation.fidelity.report import EFFECT_OF, EVERYBODY_COVERED, GROUPS_COVERED, REGRET, TAU
from twingym.scenarios import Scenario, get, names
from twingym.scenarios.constraint import Constraint
from twingym.scenarios.registry import ships
from twingym.scenarios.weights import weights_folder

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- scenarios: written by docs/generate.py -->", "<!-- end of scenarios -->"
RESULTS_BEGIN, RESULTS_END = "<!-- results: written by docs/generate.py -->", "<!-- end of results -->"
BENCHMARKS = README.parent / "benchmarks" / "results"
COLUMNS = ("scenario", "a policy decides", "step, episode, judged over", "limits", "groups", "rules to beat")


def table() -> str:
    """Return a Markdown table of the shipped scenarios."""
    return markdown_table(COLUMNS, [row(get(name)) for name in names() if ships(name)])


def row(scenario: Scenario) -> tuple[str, ...]:
    """Return the cells of one scenario."""
    decides = [
        f"{i.name}: {', '.join(i.levels)}" if i.levels else f"{i.name}, {i.unit}" for i in scenario.interventions
    ]
    times = dict.fromkeys((1, scenario.horizon, scenario.judged_horizon))
    groups = [f"{name} ({', '.join(levels)})" for name, levels in scenario.group_levels.items()]
    return (
        f"`{scenario.env_id}`<br>{scenario.title}",
        "<br>".join(decides),
        ", ".join(duration(scenario, steps) for steps in times),
        "<br>".join(limit(c) for c in scenario.constraints),
        "<br>".join(groups),
        ", ".join(scenario.rules),
    )


def duration(scenario: Scenario, steps: int) -> str:
    """Return how long ``steps`` last, in days where they fill them."""
    length = scenario.dt * steps
    days = length / (24.0 * 60.0) if scenario.dt_unit == "min" else 0.0
    if days >= 1.0:
        return f"{days:g} days" if days > 1.0 else "1 day"
    return f"{length:g} {scenario.dt_unit.removesuffix('s') if length == 1.0 else scenario.dt_unit}"


def limit(constraint: Constraint) -> str:
    """Return a limit in a few words."""
    if constraint.hard:
        return f"{constraint.name}: never"
    if constraint.kind == "chance":
        return f"P({constraint.name} > {constraint.limit:g}) ≤ {constraint.risk:g}"
    return f"{constraint.name} ≤ {constraint.limit:g}"


def results() -> str:
    """Return what the cards and the benchmark files say, in Markdown."""
    shipped = list(filter(ships, names()))
    parts = [trust_table({name: read_card(weights_folder(get(name))) for name in shipped})]
    read = {name: BENCHMARKS / f"disagreement_{name}.csv" for name in shipped}
    parts.append(referees({name: pd.read_csv(path) for name, path in read.items() if path.is_file()}))
    for name in shipped:
        path = BENCHMARKS / f"policies_{name}.csv"
        if path.is_file():
            parts.append(policy_table(name, pd.read_csv(path)))
    path = BENCHMARKS / "doubt_training_summary.csv"
    if path.is_file():
        parts.append(doubt_table(pd.read_csv(path)))
    return "\n\n".join([*parts, *tumours()])


def tumours() -> list[str]:
    """Return the headline of the tumour benchmark, if it was run: the error of means over seeds, one step ahead."""
    path = BENCHMARKS / "tumour_counterfactual.csv"
    if not path.is_file():
        return []
    cells = pd.read_csv(path).query("form == 'original' and kind == 'one_step'")
    whole = cells.groupby(["gamma", "model"]).filter(lambda seeds: len(seeds) == cells["seed"].nunique())
    ours = whole.pivot_table("rmse", "gamma", "model").reindex(columns=["twin", "causal_transformer", "bayes"])
    published = pd.read_csv(README.parent / "benchmarks" / "tumour" / "published.csv").query("kind == 'one_step'")
    best = published.groupby("gamma")["rmse"].min()
    head = ("gamma", "twin model", "best published", "size of a Causal Transformer, same arrays", "Bayes")
    rows = [
        (f"{gamma:g}", *("" if pd.isna(error) else f"{error:.3f}" for error in (twin, best[gamma], same, bayes)))
        for gamma, (twin, same, bayes) in ours.iterrows()
    ]
    return [
        "**Tumours under other treatments** (the published benchmark, one step ahead, means over five seeds; RMSE in "
        "per cent, lower is better). Gamma says how much more often large tumours are treated; Bayes knows the "
        "equations. With plans of up to six days: [docs/tumour.md](docs/tumour.md); "
        "`python -m benchmarks.tumour_counterfactual`.",
        markdown_table(head, rows),
    ]


def trust_table(cards: dict[str, dict[str, Any]]) -> str:
    """Return what the cards of the shipped twin models say, a row each, and which bars they miss."""
    head = (
        "**How far the twin models can be trusted**: against the published reference of each scenario, on held-out "
        "people. A bar is what a figure has to reach; all of them, with intervals, stand in the cards."
    )
    rows, missed = [], []
    for name, card in cards.items():
        bars = {row["check"]: row for row in card["bars"]}
        effects = [row["value"] for check, row in bars.items() if check.startswith(EFFECT_OF)]
        told, of_steps = card["report"]["disagreement"]["spearman"][0], card["report"]["disagreement"]["step_spearman"]
        rows.append(
            (
                f"[{name}](scenarios/weights/{name}/{PAGE})",
                f"{sum(row['cleared'] for row in bars.values())} of {len(bars)}",
                f"{bars[EVERYBODY_COVERED]['value']:.3f}",
                f"{bars[GROUPS_COVERED]['value']:.3f}",
                f"{min(effects):.2f} to {max(effects):.2f}",
                f"{bars[TAU]['value']:.2f}",
                f"{bars[REGRET]['value']:.3f}",
                f"{told:.2f}; {of_steps[0]:.2f}",
                f"{card['training']['cpu_seconds'] / 60:.0f}",
            )
        )
        missed += [
            f"- {name} misses: {check} is {row['value']:.3g}, wanted {row['bar']}."
            for check, row in bars.items()
            if not row["cleared"]
        ]
    title = (
        "twin model of",
        "bars cleared",
        "coverage off by, at most",
        "in a group",
        "effects over the reference's",
        "tau of policies",
        "regret",
        "disagreement against error; in single steps",
        "CPU minutes of its fit",
    )
    foot = ["", *missed] if missed else []
    return "\n".join([head, "", markdown_table(title, rows), *foot])


def policy_table(name: str, table: pd.DataFrame) -> str:
    """Return how PPO trained on twins compares with the rules, on the reference."""
    scenario, judged = get(name), table[table["dynamics"] == "reference"]
    shown = ["return", *(m.name for m in scenario.metrics[:1]), *(c.name for c in scenario.costs if not c.hard)]
    head = (
        f"**{name}: policies judged on the reference** ({judged['people'].iloc[0]} held-out people; "
        "`python -m benchmarks.policies`)"
    )
    cells = {column: judged[column].map("{:.3g}".format) for column in shown}
    cells["return"] = judged["return"].map("{:.4g}".format) + judged["standard_error"].map(" ± {:.2g}".format)
    if "gain" in judged:  # what lies between policies is small beside what lies between people: paired, with its error
        shown.insert(1, f"gain over {scenario.baseline}")
        cells[shown[1]] = judged["gain"].map("{:.3f}".format) + judged["gain_error"].map(" ± {:.3f}".format)
    shown.append("limits")
    cells["limits"] = judged.apply(limits_kept, axis=1)
    columns = [judged["policy"], *(cells[column] for column in shown)]
    rows = list(zip(*columns, strict=True))
    kept = [line for line in (beyond_rules(scenario, judged), towards_oracle(judged)) if line]
    return "\n\n".join([head, markdown_table(("policy", *shown), rows), *kept])


def referees(tables: dict[str, pd.DataFrame]) -> str:
    """Return how well twin models agree with independent networks about where they are unsure."""
    head = (
        "**Is a twin model in doubt where it should be?** Five independent networks, fitted to other people, read the "
        "courses that policies bring about on it, and each state is ranked by its doubt and by how far they differ: "
        "Spearman, with 95 % intervals over people, for averages over a third of the model's window. How well three of "
        "the networks agree with the two others says what can be expected, above all of single steps "
        "(`python -m benchmarks.disagreement --referee --env ID`)."
    )
    title = (
        "scenario",
        "states",
        "Spearman",
        "by policy",
        "of single steps",
        "three networks against two; single steps",
    )
    rows = []
    for name, table in tables.items():
        of_all, visitors = table.iloc[0], table.iloc[1:].sort_values("spearman")
        low, high = visitors.iloc[0], visitors.iloc[-1]
        rows.append(
            (
                name,
                f"{of_all['states']:,}",
                f"{of_all['spearman']:.2f} ({of_all['low']:.2f} to {of_all['high']:.2f})",
                f"{low['spearman']:.2f} ({low['visited by']}) to {high['spearman']:.2f} ({high['visited by']})",
                f"{of_all['spearman, one step']:.2f}",
                f"{of_all['ceiling']:.2f}; {of_all['ceiling, one step']:.2f}",
            )
        )
    return f"{head}\n\n{markdown_table(title, rows)}"


def doubt_table(table: pd.DataFrame) -> str:
    """Return what reactions to disagreement in training do to policies, judged on the reference."""
    head = (
        "**What training does where the twin model is in doubt** (PPO on it, judged on the reference in envs "
        "without any reaction; differences from none are paired by seed, with 95 % intervals; "
        "`python -m benchmarks.doubt_training`)"
    )
    shown = ["return", "exploitation_gap", "limits_broken"]
    cells = (
        table["mean"].map("{:.4g}".format)
        + table["difference"].map("{:+.3g}".format).radd(" (")
        + table["low"].map("{:+.3g}".format).radd("; ")
        + table["high"].map("{:+.3g}".format).radd(" to ")
        + ")"
    )
    cells = cells.where(table["doubt"] != "none", table["mean"].map("{:.4g}".format))
    wide = table.assign(cell=cells).pivot(index=["env", "doubt"], columns="measure", values="cell")
    order = table[["env", "doubt", "won", "seeds"]].drop_duplicates(["env", "doubt"])
    rows = [
        (env, f"{doubt}{', won' if won else ''}", *wide.loc[(env, doubt), shown], str(seeds))
        for env, doubt, won, seeds in order.itertuples(index=False)
    ]
    title = ("scenario", "reaction", *(name.replace("_", " ") for name in shown), "seeds")
    return "\n\n".join([head, markdown_table(title, rows), *alike(pd.read_csv(BENCHMARKS / "doubt_training.csv"))])


def alike(cells: pd.DataFrame) -> list[str]:
    """Say where seeds end as one policy, the same to the last digit by every measure: they learned to do nothing."""
    measures, found = ["return", "return_on_twin", "disagreement"], []
    for (env, doubt), rows in cells.groupby(["env", "doubt"], sort=False):
        most = int(rows.value_counts(measures).iloc[0])
        if most > 1:
            found.append(f"{most} of {len(rows)} seeds under {doubt} on {env}")
    return [f"As one and the same policy end {' and '.join(found)}: they learned to do nothing."] if found else []


def limits_kept(row: pd.Series) -> str:
    """Return ``pass`` if the bounds of a policy keep all limits, else those that they do not."""
    reached = {str(name).removesuffix("_verdict"): row[name] for name in row.index if str(name).endswith("_verdict")}
    parts = []
    for verdict in ("fail", "inconclusive"):
        limits = [name for name, found in reached.items() if found == verdict]
        parts += [f"{verdict}: {', '.join(limits)}"] if limits else []
    return "; ".join(parts) or "pass"


def beyond_rules(scenario: Scenario, judged: pd.DataFrame) -> str:
    """Return how far PPO is above the rules that were tuned, on the scenario's first metric if more of it is wanted."""
    metric = scenario.metrics[0]
    if metric.better != "more":
        return ""
    found = judged.set_index("policy")[metric.name]
    ppo = found[found.index.str.startswith("ppo")].mean()
    own = [name for name, rule in scenario.rules.items() if rule.per_person]
    tuned = [name for name in found.index if str(name).endswith("(tuned)") or name in own]
    above = ", ".join(f"{ppo - found[name]:+.3f} to {name}" for name in tuned)
    return f"PPO's {metric.name} is {ppo:.3f} (mean of its seeds). Differences to rules that were tuned: {above}."


def towards_oracle(judged: pd.DataFrame) -> str:
    """Return where PPO lies between the best rule and the best oracle, if there are oracles."""
    kind = judged["policy"].str.extract("^(ppo|oracle)", expand=False).fillna("rule")
    if "oracle" not in set(kind):
        return ""
    gain = judged["gain"].groupby(kind)
    rule, oracle, ppo = gain.max()["rule"], gain.max()["oracle"], gain.mean()["ppo"]
    return (
        f"PPO gains {ppo:.3f} (mean of its seeds), {(ppo - rule) / (oracle - rule):.0%} of the way from the best rule "
        f"({rule:.3f}) to the best oracle ({oracle:.3f}), which sees what is hidden and was trained on the reference."
    )


def renewed(text: str) -> str:
    """Return ``text`` with the present tables between the markers."""
    for begin, end, content in ((BEGIN, END, table), (RESULTS_BEGIN, RESULTS_END, results)):
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        text = pattern.sub(partial(_between, begin, content(), end), text)
    return text


def _between(begin: str, content: str, end: str, _: re.Match[str]) -> str:
    return f"{begin}\n{content}\n{end}"


if __name__ == "__main__":
    README.write_text(renewed(README.read_text(encoding="utf-8")), encoding="utf-8")
