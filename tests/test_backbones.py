"""Do a recurrent network and a Markov model serve behind the interface of the transformer?"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from twingym.twins import Courses, TwinModel, dataset, fit_twin, people
from twingym.twins.backbones import BACKBONES
from twingym.twins.cohort import Cohort
from twingym.twins.errors import SpecError
from twingym.twins.fit_config import FitConfig
from twingym.twins.gate import crop
from twingym.twins.network import TwinNetwork
from twingym.twins.spec import TwinSpec
from twingym.twins.transformer_config import TransformerConfig
from twingym.twins.variables import Variable

SMALL = TransformerConfig(width=16, layers=2, attention_heads=2, head_width=8, ensemble=2, ensemble_width=8)
STEPS, NOISE = 40, 0.3


def spec() -> TwinSpec:
    level = Variable("level", "m", -60.0, 60.0, change=0.5)
    return TwinSpec((), (level,), (), (Variable("push", "m", 0.0, 1.0),), {}, 40, "drifting")


def drifting(ids: np.ndarray) -> Courses:
    """Levels that drift at a pace of the person's own, which one change hardly tells and many do."""
    random, n = np.random.default_rng(len(ids)), len(ids)
    pace, pushed = 0.5 * random.normal(size=(n, 1)), (random.random((n, STEPS, 1)) < 0.2).astype(float)
    moved = pace + 0.5 * pushed[..., 0] - 0.1 + NOISE * random.normal(size=(n, STEPS))
    level = np.concatenate([np.zeros((n, 1)), moved.cumsum(axis=1)], axis=1)[..., None]
    unknown = np.full((n, STEPS), np.nan)
    return Courses(ids, {}, level, pushed, np.zeros((n, STEPS + 1, 0)), unknown, np.full(n, STEPS))


@pytest.fixture(params=sorted(BACKBONES))
def model(request):
    return TwinModel(TwinNetwork.untrained(spec(), replace(SMALL, backbone=request.param), seed=1).eval(), {})


@torch.inference_mode()
def test_decoding_equals_the_network_on_whole_courses(model):
    data = dataset(drifting(people("train", 9)), spec())
    tokens = model.network.tokens(data.seen, data.actions, data.inputs, data.traits[:, None])
    cache = model.network.trunk.empty_cache(9)
    decoded = torch.stack([model.network.trunk.decode(tokens[:, t], cache) for t in range(tokens.shape[1])], dim=1)
    assert (decoded - model.network.trunk(tokens)).abs().max() < 1e-5


def test_whoever_restarts_goes_on_as_if_alone_and_branches_are_copies(model):
    dynamics, ids, none = model.dynamics(), people("test", 10), np.zeros((10, 0))
    random = np.random.default_rng(0)
    noise, pushed = random.random((12, 10, dynamics.noise_width)), random.random((12, 10, 1))
    state, _ = dynamics.initial(Cohort(ids, {}), none, noise[0])
    for t in range(1, 5):
        state, _ = dynamics.step(state, pushed[t], none, noise[t])
    again, rows = noise[5], np.array([2, 7])
    state, first = dynamics.restart(state, rows, Cohort(ids[rows], {}), none[rows], again[rows])
    alone, wanted = dynamics.initial(Cohort(ids, {}), none, again)
    np.testing.assert_array_equal(first, wanted[rows])
    branch = dynamics.take(state, np.arange(10))
    for t in range(6, 12):
        state, after = dynamics.step(state, pushed[t], none, noise[t])
        alone, wanted = dynamics.step(alone, pushed[t], none, noise[t])
        branch, copied = dynamics.step(branch, pushed[t], none, noise[t])
        np.testing.assert_allclose(after[rows], wanted[rows], atol=1e-5)
        np.testing.assert_array_equal(after, copied)


def test_a_saved_model_keeps_its_backbone(model, tmp_path):
    model.save(tmp_path)
    loaded = TwinModel.load(tmp_path)
    assert loaded.network.config.backbone == model.network.config.backbone
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], tensor)


def test_an_unknown_backbone_is_refused_naming_those_there_are():
    with pytest.raises(SpecError, match="backbone is 'lstm'; allowed: transformer, gru, mlp"):
        TwinNetwork.untrained(spec(), replace(SMALL, backbone="lstm"))


def test_people_who_join_late_do_not_know_how_they_came_there():
    data = dataset(drifting(people("train", 5)), spec())
    rows, start = torch.arange(5), torch.tensor([0, 7, 7, 30, 39])
    late = torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0])
    cut = crop(data, rows, start, 12, late)
    assert (cut.seen.change[:, 0, 0] == 0.0).tolist() == [True, False, True, True, True]
    assert (cut.seen.change[1:4, 1, 0] != 0.0).all()
    np.testing.assert_array_equal(cut.target[2, :, 0], data.target[2, 7:19, 0])
    assert cut.present.sum((1, 2)).tolist() == [12, 12, 12, 11, 2]  # courses have 41 tokens


@pytest.mark.slow
def test_memory_pays_where_it_takes_many_steps_to_know_a_person():
    source = drifting(np.concatenate([people("train", 800), people("validation", 200)]))
    config = FitConfig(epochs=15, batches=40, batch_tokens=2000, learning_rate=1e-2)
    losses = {
        name: fit_twin(source, spec(), None, config, replace(SMALL, backbone=name)).training["held_out_loss"]
        for name in BACKBONES
    }
    assert losses["transformer"] < losses["mlp"] - 0.02
    assert losses["gru"] < losses["mlp"] - 0.02
