"""The command line, as a function of its words."""

from __future__ import annotations

import pytest

from twingym.experiments.cli import main


def twingym(*words: str) -> int:
    """Run a command line; returns its exit status."""
    with pytest.raises(SystemExit) as stop:
        main(words)
    return int(stop.value.code or 0)
