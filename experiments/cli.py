"""The command line: ``twingym VERB --flags``; each verb is a module of this package with ``Args`` and ``run``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from twingym.twins.errors import TwinGymError, unknown

VERBS = {
    "list": "the scenarios there are",
    "show": "what a scenario measures, decides and forbids, with sources",
    "fit": "a transformer twin model for a scenario",
    "distil": "where independent networks would disagree, taught to a twin model",
    "card": "what a twin model is worth: every measure against its bar, as JSON and as a page",
    "train": "an agent on twins; judge it on twin model and reference",
    "evaluate": "a trained agent or a rule on chosen people",
    "compare": "runs and rules side by side, in tables and TensorBoard",
    "refit": "a twin model on outcomes of interventions; say whether it is better for it",
    "whatif": "what may become of a recorded person under several policies",
    "new-scenario": "a short file that runs, to be made a scenario of your own",
    "check-scenario": "what is wrong with a scenario, and what to do about it",
}
STOPPED = 130  # what shells report after Ctrl-C


def main(argv: Sequence[str] | None = None) -> None:
    """Run the verb named by the first argument."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print("usage: twingym VERB [--help] [flags]\n")
        print("\n".join(f"  {verb:16}{about}" for verb, about in VERBS.items()))
        return
    try:
        if words[0] not in VERBS:
            raise unknown("verb", words[0], VERBS, "See `twingym --help`.")
    except TwinGymError as error:
        sys.exit(_refused(error))
    sys.exit(run_verb(module_of(words[0]), words[1:], f"twingym {words[0]}"))


def module_of(verb: str) -> ModuleType:
    """Return the module of a verb."""
    return import_module(f"twingym.experiments.{verb.replace('-', '_')}")


def run_verb(module: ModuleType, argv: Sequence[str], name: str) -> int:
    """Parse ``argv`` into the module's ``Args`` and run it; return the exit status."""
    import tyro

    try:
        args = tyro.cli(module.Args, prog=name, args=argv, description=module.__doc__)
        return int(module.run(args) or 0)
    except TwinGymError as error:
        return _refused(error)
    except KeyboardInterrupt as stop:
        print(f"stopped{''.join(f'; {said}' for said in stop.args)}", file=sys.stderr)
        return STOPPED


def run_module(file: str) -> None:
    """Do what ``twingym VERB`` does, for ``python -m twingym.experiments.VERB``."""
    verb = file.replace("\\", "/").rpartition("/")[2].removesuffix(".py")
    sys.exit(
        run_verb(import_module(f"twingym.experiments.{verb}"), sys.argv[1:], f"python -m twingym.experiments.{verb}")
    )


def _refused(error: TwinGymError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2
