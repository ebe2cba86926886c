"""Where are the real cohorts that tests may use? They are the user's own, and ship with nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLE = "TWINGYM_DATA"
FOLDERS = [Path(__file__).resolve().parents[depth] / "shared" / "data" for depth in (2, 3)]


def real_file(name: str, monkeypatch: pytest.MonkeyPatch | None = None) -> Path:
    """Return a real cohort's file, and let specs find it; skips the test if there is none."""
    named = [Path(os.environ[VARIABLE])] if VARIABLE in os.environ else []
    for folder in [*named, *FOLDERS]:
        if (folder / name).is_file():
            if monkeypatch is not None:
                monkeypatch.setenv(VARIABLE, str(folder))
            return folder / name
    pytest.skip(f"{name} is not here; set {VARIABLE} to the folder that holds it")
