"""Does a model learn where networks that were fitted apart disagree, and nothing else by that?"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from tests.command_line import twingym
from tests.test_backbones import SMALL, drifting, spec

from twingym.experiments.distil import Args, check
from twingym.scenarios import get, names
from twingym.scenarios.registry import ships
from twingym.scenarios.weights import weights_folder
from twingym.twins import Courses, TwinModel
from twingym.twins.cohort import Cohort
from twingym.twins.decode import spread
from twingym.twins.distillation import distilled, spreads
from twingym.twins.errors import SpecError
from twingym.twins.fit_config import FitConfig
from twingym.twins.model import digest
from twingym.twins.network import TwinNetwork
from twingym.twins.recalibration import recalibrated
from twingym.twins.refit import refit

APART = ("--networks", "2", "--epochs", "1", "--learners", "24", "--people", "32")


def untrained(seed: int) -> TwinModel:
    return TwinModel(TwinNetwork.untrained(spec(), SMALL, seed), {"cpu_seconds": 0.0})


@pytest.fixture(scope="module")
def networks() -> list[TwinModel]:
    return [untrained(seed) for seed in range(1, 4)]


@pytest.fixture(scope="module")
def taught(networks: list[TwinModel]) -> TwinModel:
    return distilled(untrained(0), networks, drifting(np.arange(1200)))


def followed(model: TwinModel, courses: Courses) -> tuple[np.ndarray, np.ndarray]:
    """What a model draws, and its disagreement, step by step along courses: (N, T) each."""
    dynamics, n = model.dynamics(), len(courses)
    luck = np.random.default_rng(0).random((n, dynamics.noise_width))
    state, _ = dynamics.initial(Cohort(courses.ids, {}), courses.inputs[:, 0], luck)
    state = dynamics.observe(state, courses.observed[:, 0])
    drawn, told = [], []
    for t in range(courses.delivered.shape[1]):
        state, seen = dynamics.step(state, courses.delivered[:, t], courses.inputs[:, t], luck)
        drawn.append(seen[:, 0])
        told.append(dynamics.disagreement(state))
        state = dynamics.observe(state, courses.observed[:, t + 1])
    return np.stack(drawn, 1), np.stack(told, 1)


def test_a_head_learns_what_networks_differ_by_on_other_people(taught: TwinModel, networks: list[TwinModel]) -> None:
    others = drifting(np.arange(5000, 5100))
    wanted = spreads([each.dynamics() for each in networks], others)
    _, told = followed(taught, others)
    rank = spearmanr(told.ravel(), wanted.ravel()).statistic
    heads = followed(untrained(0), others)[1]
    assert rank > 0.7
    assert spearmanr(heads.ravel(), wanted.ravel()).statistic < rank - 0.2
    assert np.median(told) == pytest.approx(np.median(wanted), rel=0.1)  # in the same unit
    about = taught.training["doubt"]
    assert about["networks"] == 3
    assert about["states"] == 1200 * 7 // 8 * 40
    assert about["spearman"] == pytest.approx(rank, abs=0.1)


def test_nothing_else_changes_and_what_was_taught_is_saved(taught: TwinModel, tmp_path: Path) -> None:
    courses = drifting(np.arange(30))
    before, after = followed(untrained(0), courses), followed(taught, courses)
    np.testing.assert_array_equal(before[0], after[0])
    assert not np.allclose(before[1], after[1])
    taught.save(tmp_path)
    np.testing.assert_array_equal(followed(TwinModel.load(tmp_path, "drifting"), courses)[1], after[1])


def test_doubt_outlives_a_refit_and_a_recalibration_and_can_be_taught_anew(
    taught: TwinModel, networks: list[TwinModel]
) -> None:
    source = drifting(np.arange(400))
    after = refit(taught, source, FitConfig(epochs=1, batches=2, batch_tokens=400)).after
    bent = recalibrated(taught, source)
    again = distilled(taught, networks, source)
    for model, same in ((after, True), (bent, True), (again, False)):
        weights = model.network.doubt.state_dict()
        kept = [torch.equal(tensor, weights[name]) for name, tensor in taught.network.doubt.state_dict().items()]
        assert all(kept) == same
    assert not torch.equal(after.network.trunk.embed.weight, taught.network.trunk.embed.weight)


def test_doubt_goes_with_the_person(taught: TwinModel) -> None:
    courses, dynamics = drifting(np.arange(12)), taught.dynamics()
    luck = np.full((12, dynamics.noise_width), 0.4)
    state, _ = dynamics.initial(Cohort(courses.ids, {}), courses.inputs[:, 0], luck)
    born = dynamics.disagreement(state)
    for t in range(3):
        state, _ = dynamics.step(state, courses.delivered[:, t], courses.inputs[:, t], luck)
    told = dynamics.disagreement(state)
    np.testing.assert_array_equal(dynamics.disagreement(dynamics.take(state, np.array([3, 1]))), told[[3, 1]])
    fresh = Cohort(np.array([20, 21]), {})
    state, _ = dynamics.restart(state, np.array([4, 7]), fresh, courses.inputs[:2, 0], luck[:2])
    now = dynamics.disagreement(state)
    np.testing.assert_array_equal(np.delete(now, [4, 7]), np.delete(told, [4, 7]))
    np.testing.assert_allclose(now[[4, 7]], born[:2], rtol=1e-5)


def test_a_course_that_ends_is_read_to_its_end(networks: list[TwinModel]) -> None:
    courses = drifting(np.arange(20))
    told = spreads([each.dynamics() for each in networks], replace(courses, length=np.full(20, 25)))
    assert np.isfinite(told[:, :25]).all()
    assert np.isnan(told[:, 25:]).all()
    means = np.random.default_rng(0).normal(size=(3, 20, 1))
    np.testing.assert_allclose(spread(means), means.std(axis=0)[:, 0])


@pytest.mark.parametrize("name", list(filter(ships, names())))
def test_whatever_ships_can_be_taught_by_networks_that_are_fitted_now(name: str) -> None:
    """Though sentences about its variables were written anew since it was fitted."""
    assert TwinModel.load(weights_folder(get(name))).spec == get(name).twin_spec()


def test_what_nothing_can_be_learned_from_is_refused(networks: list[TwinModel]) -> None:
    courses = drifting(np.arange(20))
    with pytest.raises(SpecError, match="2 or more"):
        distilled(untrained(0), networks[:1], courses)
    with pytest.raises(SpecError, match="16 or more"):
        distilled(untrained(0), networks, courses.take(np.arange(9)))
    other = TwinModel(TwinNetwork.untrained(replace(spec(), fingerprint="another"), SMALL, 9), {})
    with pytest.raises(SpecError, match="another spec"):
        distilled(untrained(0), [*networks, other], courses)


def test_short_courses_are_made_up_of_more_people() -> None:
    assert check(Args("Sepsis-v0"), get("Sepsis-v0")) == 15_000  # of 20 steps
    assert check(Args("Sepsis-v0", people=60), get("Sepsis-v0")) == 60


@pytest.mark.usefixtures("own_registry")
def test_the_command_teaches_a_model_and_replaces_none_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = Path(shutil.copy(Path(__file__).parent / "nudge_scenario.py", tmp_path / "nudge.py"))
    said = ("--env", str(here), "--runs", str(tmp_path / "apart"), *APART)
    assert twingym("fit", "--env", str(here), "--people", "48", "--epochs", "1", "--batches", "4", "--no-card") == 0
    old = digest(tmp_path / "nudge_twin")
    assert twingym("distil", *said) == 2
    assert "--replace" in capsys.readouterr().err
    assert not (tmp_path / "apart").exists()
    assert twingym("distil", *said, "--out", str(tmp_path / "taught")) == 0
    assert digest(tmp_path / "nudge_twin") == old
    taught = TwinModel.load(tmp_path / "taught")
    assert taught.training["doubt"]["networks"] == 2
    fitted = {path.parent.name for path in (tmp_path / "apart").rglob("twin.json")}
    assert fitted == {"network_5", "network_6"}
    assert twingym("distil", *said, "--replace") == 0  # on the same networks
    again = TwinModel.load(tmp_path / "nudge_twin").network.state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in taught.network.state_dict().items())
