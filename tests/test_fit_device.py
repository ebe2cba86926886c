"""Does a fit learn the same on another device, and is one that is not there refused?"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.test_backbones import SMALL

from twingym.envs.behaviour import collect
from twingym.experiments import fit
from twingym.scenarios import get
from twingym.twins import FitConfig, fit_twin, people
from twingym.twins.errors import SpecError
from twingym.twins.fit import CHECKPOINT

QUICK = FitConfig(epochs=2, batches=4, batch_tokens=600)
# Levels with events, recurrent counts with amounts, and a value that is seldom measured.
WORLDS = ("Glucose-v0", "Retention-v0", str(Path(__file__).with_name("ward_scenario.py")))


def courses(name):
    return collect(get(name), np.concatenate([people("train", 40), people("validation", 10)]), seed=1, horizon=30)


@pytest.mark.parametrize("device", ["warp", "cuda:99"])
def test_a_device_that_is_not_there_is_refused_before_anything_is_done(device, tmp_path, monkeypatch):
    monkeypatch.setattr(fit, "collect", lambda *_, **__: pytest.fail("courses were recorded"))
    with pytest.raises(SpecError, match=f"device '{device}' is not there .* allowed: 'cpu'"):
        fit.fit(fit.Args("Glucose-v0", out=tmp_path / "twin", device=device))
    assert not (tmp_path / "twin").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize("name", WORLDS)
def test_a_fit_on_a_gpu_learns_what_one_on_the_cpu_does(name, tmp_path):
    """Weights and batches are drawn alike; what differs is how sums are rounded."""
    source, spec = courses(name), get(name).twin_spec()
    here, there = (fit_twin(source, spec, None, QUICK, SMALL, device=device) for device in ("cpu", "cuda"))
    assert there.training["held_out_loss"] == pytest.approx(here.training["held_out_loss"], abs=2e-3)
    for name, tensor in there.network.state_dict().items():
        assert tensor.device.type == "cpu"
        torch.testing.assert_close(tensor, here.network.state_dict()[name], atol=5e-3, rtol=0.0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_fit_goes_on_on_another_device(tmp_path):
    source, spec = courses("Glucose-v0"), get("Glucose-v0").twin_spec()

    def kill(model, epoch):
        raise KeyboardInterrupt

    whole = fit_twin(source, spec, None, QUICK, SMALL)
    with pytest.raises(KeyboardInterrupt):
        fit_twin(source, spec, tmp_path, QUICK, SMALL, device="cuda", after_epoch=kill)
    assert (tmp_path / CHECKPOINT).is_file()
    resumed = fit_twin(source, spec, tmp_path, QUICK, SMALL)
    assert resumed.training["held_out_loss"] == pytest.approx(whole.training["held_out_loss"], abs=2e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_paths_are_rehearsed_on_a_gpu():
    config = replace(QUICK, energy_weight=0.3, energy_steps=5, energy_from=0.0, energy_share=1.0)
    spec = get("Glucose-v0").twin_spec()
    losses = [
        fit_twin(courses("Glucose-v0"), spec, None, config, SMALL, device=device).training["held_out_loss"]
        for device in ("cpu", "cuda")
    ]
    assert losses[0] == pytest.approx(losses[1], abs=5e-3)
