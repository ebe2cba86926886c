"""Evaluation: pure functions of episodes, and the verdicts, cards and comparisons made of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twingym.evaluation.cards.model_card import card as card
    from twingym.evaluation.charts import plot_groups as plot_groups
    from twingym.evaluation.charts import plot_tradeoff as plot_tradeoff
    from twingym.evaluation.checks.finding import Finding as Finding
    from twingym.evaluation.checks.scenario import check_scenario as check_scenario
    from twingym.evaluation.comparison import Comparison as Comparison
    from twingym.evaluation.comparison import compare as compare
    from twingym.evaluation.comparison import exploitation as exploitation
    from twingym.evaluation.counterfactual import flip as flip
    from twingym.evaluation.disparity import Fairness as Fairness
    from twingym.evaluation.disparity import fairness as fairness
    from twingym.evaluation.episodes import Evaluation as Evaluation
    from twingym.evaluation.personal import personalise as personalise
    from twingym.evaluation.plots import plot_courses as plot_courses
    from twingym.evaluation.plots import plot_person as plot_person
    from twingym.evaluation.rollout import evaluate as evaluate
    from twingym.evaluation.tables import verify as verify
    from twingym.evaluation.tables import write_tables as write_tables
    from twingym.evaluation.tuning import tune as tune
    from twingym.evaluation.verdict import overall as overall
    from twingym.evaluation.verdict import verdicts as verdicts

# Loaded on first use, so that importing twingym stays cheap. No file is named like what it exports: the import of a
# file puts its name here and would hide the function.
_WHERE = {
    "Comparison": "comparison",
    "Evaluation": "episodes",
    "Fairness": "disparity",
    "Finding": "checks.finding",
    "card": "cards.model_card",
    "check_scenario": "checks.scenario",
    "compare": "comparison",
    "evaluate": "rollout",
    "exploitation": "comparison",
    "fairness": "disparity",
    "flip": "counterfactual",
    "overall": "verdict",
    "personalise": "personal",
    "plot_courses": "plots",
    "plot_groups": "charts",
    "plot_person": "plots",
    "plot_tradeoff": "charts",
    "tune": "tuning",
    "verdicts": "verdict",
    "verify": "tables",
    "write_tables": "tables",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
