"""Are rehearsed paths those of a simulation, is their score proper, and does its gradient reach the weights?"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.test_backbones import SMALL, STEPS, drifting, spec

from twingym.scenarios import get
from twingym.twins import dataset, fit_twin, people
from twingym.twins.cohort import Cohort
from twingym.twins.decode import TransformerDynamics
from twingym.twins.errors import SpecError
from twingym.twins.fit_config import FitConfig
from twingym.twins.gate import crop
from twingym.twins.heads import ChangeHead, RelativeHead
from twingym.twins.network import TwinNetwork
from twingym.twins.rehearsal import PATHS, check_rehearsable, energy_score, path, reparameterised
from twingym.twins.variables import Variable

SIZE = Variable("size", "cm3", 0.01, 1000.0, scale="log", change=0.03, relative=True)


@pytest.fixture
def network():
    network = TwinNetwork.untrained(spec(), SMALL, seed=4)
    for head in network.trunk.heads:  # heads of an untrained network say nearly the same of everything
        torch.nn.init.normal_(head.write[0].weight, std=0.5, generator=torch.Generator().manual_seed(1))
    return network.eval()


def segments(count=12, steps=20):
    data = dataset(drifting(people("train", count)), spec())
    return crop(data, torch.arange(count), torch.zeros(count, dtype=torch.int64), steps)


@pytest.mark.parametrize("head", [ChangeHead(0.05), RelativeHead(SIZE)])
def test_what_is_drawn_moves_with_parameters_as_the_quantile_does(head):
    random = np.random.default_rng(3)
    params = torch.from_numpy(0.5 * random.normal(size=(40, head.width))).requires_grad_()
    u, last = torch.from_numpy(random.uniform(0.05, 0.95, 40)), torch.full((40,), 0.2, dtype=torch.float64)
    last.requires_grad_()
    value = reparameterised(head, params, u, last)
    torch.testing.assert_close(value, head.icdf(params, u, last))
    slope, of_last = torch.autograd.grad(value.sum(), (params, last))
    step = 1e-3
    with torch.no_grad():
        for k in range(head.width):
            moved = torch.zeros(head.width, dtype=torch.float64)
            moved[k] = step
            numeric = (head.icdf(params + moved, u, last) - head.icdf(params - moved, u, last)) / (2.0 * step)
            torch.testing.assert_close(slope[:, k], numeric, atol=2e-4, rtol=0.02)
        torch.testing.assert_close(of_last, torch.ones(40, dtype=torch.float64), atol=1e-3, rtol=0.0)


def test_on_its_bounds_a_value_has_no_gradient():
    head, params = ChangeHead(0.05), torch.zeros(2, 12, requires_grad=True)
    value = reparameterised(head, params, torch.tensor([0.999, 0.001]), torch.tensor([0.999, -0.999]))
    assert value.tolist() == [1.0, -1.0]
    (value.sum() + 0.0 * params.sum()).backward()
    assert (params.grad == 0.0).all()


@pytest.mark.parametrize("first", [1, 7])
def test_a_rehearsed_path_is_a_simulated_one(network, first):
    """The same past, uniforms and head give what the dynamics gives, step by step."""
    count, ahead = 12, 6
    courses, data = drifting(people("train", count)), segments()
    u = np.random.default_rng(0).random((count, ahead, 1))
    with torch.no_grad():
        rehearsed = path(network, data, first, 1, torch.from_numpy(u).float())
    dynamics, none = TransformerDynamics(network), np.zeros((count, 0))
    order = np.argsort(courses.ids)
    courses = courses.take(order)
    noise = np.full((count, dynamics.noise_width), 0.5)
    state, _ = dynamics.initial(Cohort(courses.ids, {}), none, noise)
    state = dynamics.observe(state, courses.observed[:, 0])
    for t in range(first - 1):
        state, _ = dynamics.step(state, courses.delivered[:, t], none, noise)
        state = dynamics.observe(state, courses.observed[:, t + 1])
    state = dynamics.bind(state, np.full(count, 1))
    for k in range(ahead):
        noise = np.concatenate([np.full((count, 1), 0.5), u[:, k]], axis=1)
        state, seen = dynamics.step(state, courses.delivered[:, first - 1 + k], none, noise)
        np.testing.assert_allclose(
            spec().modelled[0].from_unit(rehearsed[:, k, 0].double().numpy()), seen[:, 0], atol=1e-3
        )


def test_whoever_draws_as_life_does_is_scored_best(network):
    """Truth is drawn from the network itself: any other network has a higher expected score."""
    count, ahead, random = 400, 5, np.random.default_rng(5)
    data = segments(count)
    other = TwinNetwork.untrained(spec(), SMALL, seed=4).eval()
    wider = TwinNetwork.untrained(spec(), SMALL).eval()
    wider.load_state_dict(network.state_dict())
    for head in wider.trunk.heads:
        head.write[0].bias.data[8:] += 1.0  # scales of the mixture

    def uniforms(paths):
        return torch.from_numpy(random.uniform(1e-6, 1.0 - 1e-6, (paths, count, ahead, 1))).float()

    with torch.no_grad():
        target = data.target.clone()
        target[:, 3 : 3 + ahead] = path(network, data, 3, 0, uniforms(1)[0])
        true = replace(data, target=target)
        scores = {
            name: np.mean([float(energy_score(n, true, 3, ahead, 0, uniforms(PATHS)).mean()) for _ in range(12)])
            for name, n in (("own", network), ("other", other), ("wider", wider))
        }
    assert scores["own"] < scores["wider"] - 0.002
    assert scores["own"] < scores["other"] - 0.002


def test_paths_that_were_not_recorded_to_the_end_teach_nothing(network):
    data = segments()
    present = data.present.clone()
    present[2, 6] = 0.0
    u = torch.rand(PATHS, 12, 5, 1, generator=torch.Generator().manual_seed(0))
    score = energy_score(network, replace(data, present=present), 3, 5, 0, u)
    assert (score[[0, 1, 3]] > 0.0).all()
    assert score[2] == 0.0
    score.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    assert network.trunk.embed.weight.grad.abs().max() > 0.0


def test_what_cannot_be_rehearsed_is_refused():
    retention = TwinNetwork.untrained(get("Retention-v0").twin_spec(), SMALL)
    with pytest.raises(SpecError, match="purchases, spend, visits are counts or amounts that are often zero"):
        check_rehearsable(retention, 4, 40)
    sepsis = TwinNetwork.untrained(get("Sepsis-v0").twin_spec(), SMALL)
    with pytest.raises(SpecError, match=r"none of .*is continuous; .*pass over them in the score"):
        check_rehearsable(sepsis, 4, 40)
    with pytest.raises(SpecError, match="energy_steps is 39; allowed: 1 to 38 steps, for segments of 40 tokens"):
        check_rehearsable(TwinNetwork.untrained(spec(), SMALL), 39, 40)


def test_a_fit_rehearses_when_it_is_asked_to():
    source = drifting(np.concatenate([people("train", 60), people("validation", 20)]))
    config = FitConfig(epochs=2, batches=4, batch_tokens=400, energy_steps=4, energy_from=0.5, energy_share=1.0)
    plain = fit_twin(source, spec(), None, config, SMALL)
    rehearsed = fit_twin(source, spec(), None, replace(config, energy_weight=1.0), SMALL)
    again = fit_twin(source, spec(), None, replace(config, energy_weight=1.0), SMALL)
    mine, other = (dict(m.network.named_parameters())["trunk.embed.weight"] for m in (rehearsed, plain))
    assert not torch.equal(mine, other)
    assert torch.equal(mine, dict(again.network.named_parameters())["trunk.embed.weight"])
    assert STEPS > 4
