"""Does a model that is too sure of itself mean what it says once it is recalibrated, on people it has not met?"""

import numpy as np
import pytest
import torch
from scipy import stats
from tests.test_backbones import SMALL, drifting, spec

from twingym.twins import FitConfig, TwinModel, dataset, fit_twin, people, recalibrated
from twingym.twins.cohort import Cohort
from twingym.twins.errors import SpecError, WeightsError
from twingym.twins.heads import ChangeHead, ZeroInflatedHead
from twingym.twins.network import TwinNetwork
from twingym.twins.recalibrated_head import LEVELS, RecalibratedHead
from twingym.twins.recalibration import pit

# As of a model whose intervals are too narrow and too low.
TOO_SURE = (0.0, *(float(x) for x in stats.norm.cdf(2.0 * stats.norm.ppf(LEVELS[1:-1]) + 0.5)), 1.0)
QUICK = FitConfig(epochs=5, batches=10, batch_tokens=1600)


@pytest.fixture(scope="module")
def fitted():
    source = drifting(np.concatenate([people("train", 60), people("validation", 250)]))
    return fit_twin(source, spec(), None, QUICK, SMALL), source


@pytest.fixture(scope="module")
def too_sure(fitted):
    """The same weights, with scales of the mixtures that are far too small."""
    model, _ = fitted
    network = TwinNetwork.untrained(spec(), SMALL)
    network.load_state_dict(model.network.state_dict())
    for head in network.trunk.heads:
        head.write[0].bias.data[8:] -= 0.5
        head.write[0].bias.data[4:8] += 0.3
    return TwinModel(network.eval(), {})


def others():
    return drifting(people("test", 300))


def coverage(model, share=0.9):
    values = pit(model.network, dataset(others(), spec()))["level"]
    return np.mean(np.abs(values - 0.5) < 0.5 * share)


def test_too_sure_a_model_means_what_it_says_to_others_once_recalibrated(too_sure, fitted):
    mended = recalibrated(too_sure, fitted[1])
    assert coverage(too_sure) < 0.8
    assert coverage(mended) == pytest.approx(0.9, abs=0.02)
    assert coverage(mended, 0.5) == pytest.approx(0.5, abs=0.03)
    before, after = (
        stats.kstest(pit(m.network, dataset(others(), spec()))["level"], "uniform") for m in (too_sure, mended)
    )
    # Everybody is born at the same level: one value in 41 has the same place in the cdf, whatever is done.
    assert after.statistic < 0.06 < 0.12 < before.statistic


def test_what_is_drawn_spreads_as_the_recalibrated_cdf_says(too_sure, fitted):
    def drawn(model):
        count, dynamics = 4000, model.dynamics()
        noise = np.random.default_rng(1).random((2, count, dynamics.noise_width))
        state, _ = dynamics.initial(Cohort(np.arange(count), {}), np.zeros((count, 0)), noise[0])
        state = dynamics.observe(state, np.zeros((count, 1)))
        return dynamics.step(state, np.zeros((count, 1)), np.zeros((count, 0)), noise[1])[1][:, 0]

    mended, truth = drawn(recalibrated(too_sure, fitted[1])), drawn(fitted[0])
    assert drawn(too_sure).std() < 0.8 * truth.std()
    assert mended.std() == pytest.approx(truth.std(), rel=0.1)
    assert mended.mean() == pytest.approx(truth.mean(), abs=0.1 * truth.std())


def test_recalibration_survives_the_disk_and_weights_stay(too_sure, fitted, tmp_path):
    mended = recalibrated(too_sure, fitted[1])
    mended.save(tmp_path / "mended")
    too_sure.save(tmp_path / "plain")
    loaded = TwinModel.load(tmp_path / "mended")
    assert loaded.network.recalibration == mended.network.recalibration
    assert TwinModel.load(tmp_path / "plain").network.recalibration == {}
    for name, tensor in too_sure.network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], tensor)
    assert recalibrated(loaded, fitted[1]).network.recalibration == mended.network.recalibration


def test_a_fit_recalibrates_when_it_is_asked_to(fitted):
    model, source = fitted
    asked = fit_twin(source, spec(), None, FitConfig(epochs=1, batches=2, batch_tokens=400, recalibrate=True), SMALL)
    assert list(asked.network.recalibration) == ["level"]
    assert model.network.recalibration == {}


def test_too_few_validation_people_are_refused_before_the_fit():
    source = drifting(np.concatenate([people("train", 12), people("validation", 3)]))
    with pytest.raises(SpecError, match=r"recalibrate: level was recorded \d+ times .* at least 400"):
        fit_twin(source, spec(), None, FitConfig(epochs=1000, recalibrate=True), SMALL)


def test_impossible_knots_are_refused(too_sure, tmp_path):
    with pytest.raises(SpecError, match="rise from 0 to 1"):
        too_sure.network.recalibrate({"level": (0.0, 0.5, 0.4, 1.0)})
    with pytest.raises(SpecError, match="recalibration of 'glucose'"):
        too_sure.network.recalibrate({"glucose": TOO_SURE})
    network = TwinNetwork.untrained(spec(), SMALL)
    network.recalibration = {"lewel": TOO_SURE}
    TwinModel(network, {}).save(tmp_path)
    with pytest.raises(WeightsError, match="lewel"):
        TwinModel.load(tmp_path)


@pytest.mark.parametrize("head", [ChangeHead(0.4), ZeroInflatedHead(0.3)])
def test_a_bent_density_is_that_of_the_bent_cdf(head):
    bent = RecalibratedHead(head, TOO_SURE)
    params = torch.from_numpy(np.random.default_rng(0).normal(size=(1, head.width)))
    grid = torch.linspace(-0.999, 0.999, 20001, dtype=torch.float64)
    say, last = params.expand(len(grid), -1), torch.full_like(grid, 0.3)
    cdf = bent.cdf(say, grid, last)
    assert torch.trapezoid(bent.log_prob(say, grid, last).exp(), grid) == pytest.approx(
        float(cdf[-1] - cdf[0]), abs=2e-3
    )
    u = torch.linspace(0.002, 0.998, 400, dtype=torch.float64)
    values = bent.icdf(params.expand(400, -1), u, torch.full_like(u, 0.3))
    inside = (values > -0.99) & (values < 0.99)
    assert inside.sum() > 100
    assert (bent.cdf(params.expand(400, -1), values, torch.full_like(u, 0.3)) - u).abs()[inside].max() < 1e-3
    for atom in head.atoms:
        share = (values <= atom).double().mean() if atom < 0 else (values >= atom).double().mean()
        mass = bent.log_prob(params, torch.tensor([atom], dtype=torch.float64), last[:1]).exp()
        assert float(mass) == pytest.approx(float(share), abs=0.01)
