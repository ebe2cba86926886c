"""Begin a scenario of your own: one short file that runs, and the commands that come next."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from twingym.experiments.cli import run_module
from twingym.experiments.console import console
from twingym.scenarios.template import Kind, write_scenario


@dataclass(frozen=True)
class Args:
    """Begin a scenario."""

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    """Its name, such as Sleep; the id becomes Sleep-v0."""
    kind: Kind
    """What it begins from: a dose with a measured value, or messages to somebody who may leave."""
    out: Path | None = None
    """The file; default: <name>_scenario.py in the current folder."""


def run(args: Args) -> None:
    """Write the file and say what to do with it."""
    path = write_scenario(args.name, args.kind, args.out)
    page = console()
    page.print(f"wrote {path}: it runs as it is; make its five numbered parts your own. Next:", markup=False)
    for command in ("check-scenario", "fit --env", "train --env"):
        line = f"  twingym {command} {shlex.quote(str(path))}"
        page.print(line, style="bold", markup=False, highlight=False, soft_wrap=True)  # to be pasted


if __name__ == "__main__":
    run_module(__file__)
