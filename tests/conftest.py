"""Options and fixtures of all tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from numpy.typing import ArrayLike

# Read by torch and OpenBLAS when they are imported, which happens after this file.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="run what reads tests/golden/ and write it")
    parser.addoption(
        "--rounding", action="store_true", help="with --golden: rewrite what another platform rounds otherwise"
    )


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
    """Compare named arrays with tests/golden/<id>.json, to 10 digits; ``--golden`` writes the file of a new id."""
    from tests import golden_file

    def check(name: str, arrays: Mapping[str, ArrayLike]) -> None:
        path = golden_file.FOLDER / f"{name}.json"
        if request.config.getoption("golden"):
            golden_file.write(path, name, arrays, request.config.getoption("rounding"))
            return
        assert path.exists(), f"{path.name} is missing; `make golden` writes it"
        wanted = golden_file.read(path, name)
        assert sorted(arrays) == sorted(wanted), f"{path.name}: names differ; if that is meant, raise the id's version"
        for key, value in arrays.items():
            np.testing.assert_allclose(
                np.asarray(value, dtype=float),
                wanted[key],
                rtol=1e-8,
                atol=1e-9,
                err_msg=f"{path.name}: {key}; if the change of behaviour is meant, raise the version in the id",
            )

    return check
