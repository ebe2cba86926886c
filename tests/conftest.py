"""Options and fixtures of all tests."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike

# Read by torch and OpenBLAS when they are imported, which happens after this file.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="run what reads tests/golden/ and rewrite it")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("golden"):
        items[:] = [item for item in items if "golden" in getattr(item, "fixturenames", ())]


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let scenarios be registered without other tests hearing of it."""
    from twingym.scenarios import registry

    for name in ("_registered", "_origins"):
        monkeypatch.setattr(registry, name, dict(getattr(registry, name)))


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, Mapping[str, ArrayLike]], None]:
    """Compare named arrays with tests/golden/<name>.json, to 10 digits; ``--golden`` rewrites the file."""

    def check(name: str, arrays: Mapping[str, ArrayLike]) -> None:
        path = GOLDEN / f"{name}.json"
        found = {key: np.asarray(value, dtype=float) for key, value in arrays.items()}
        if request.config.getoption("golden"):
            GOLDEN.mkdir(exist_ok=True)
            lines = [f"{json.dumps(key)}: {json.dumps(_rounded(value))}" for key, value in found.items()]
            path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
            return
        assert path.exists(), f"{path.name} is missing; `make golden` writes it"
        wanted = json.loads(path.read_text(encoding="utf-8"))
        assert sorted(found) == sorted(wanted), f"{path.name}: names differ; `make golden` if that is meant"
        for key, value in found.items():
            np.testing.assert_allclose(
                value,
                np.asarray(wanted[key], dtype=float),
                rtol=1e-8,
                atol=1e-9,
                err_msg=f"{path.name}: {key}; `make golden` if the change of behaviour is meant",
            )

    return check


def _rounded(value: np.ndarray) -> object:
    digits = np.array([float(f"{number:.10g}") for number in value.ravel()])
    return digits.reshape(value.shape).tolist()
