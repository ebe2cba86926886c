"""Are the heads' densities, cdfs and inverse cdfs those of one and the same distribution?"""

import json
import math

import numpy as np
import pytest
import torch
from scipy import stats

from twingym.twins.bin_head import QuantileBinHead
from twingym.twins.discrete_heads import BinaryHead, CategoryHead, CountHead, LevelHead
from twingym.twins.errors import SpecError
from twingym.twins.heads import ChangeHead, RelativeHead, ZeroInflatedHead, head_for
from twingym.twins.spec import TwinSpec
from twingym.twins.variables import Variable

SIZE = Variable("size", "cm3", 0.01, 1000.0, scale="log", change=0.03, relative=True)
EDGES = (-0.9, -0.5, -0.45, 0.0, 0.3, 0.95)
U = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)


def parameters(head, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=head.width)).expand(len(U), -1)


@pytest.mark.parametrize(
    "head",
    [
        ChangeHead(0.05),
        RelativeHead(SIZE),
        ZeroInflatedHead(0.2),
        QuantileBinHead(EDGES, 0.1),
        BinaryHead(absorbing=False),
        LevelHead(7),
        CategoryHead(5),
        CountHead(7),
    ],
)
def test_icdf_inverts_cdf(head):
    params, last = parameters(head), torch.full_like(U, 0.2)
    values = head.icdf(params, U, last)
    assert (values[1:] >= values[:-1]).all()
    reached = head.cdf(params, values, last)
    assert (reached >= U - 1e-5).all()
    inside = (values > -0.999) & (values < 0.999)
    if head.continuous:
        assert inside.sum() > 100
        assert (reached - U).abs()[inside].max() < 1e-4


@pytest.mark.parametrize(
    "head", [ChangeHead(0.3), RelativeHead(SIZE), ZeroInflatedHead(0.3), QuantileBinHead(EDGES, 0.1)]
)
def test_density_and_atoms_integrate_to_one(head):
    grid = torch.linspace(-1.0, 1.0, 20001, dtype=torch.float64)[1:-1]
    params, last = parameters(head, 1)[:1].expand(len(grid), -1), torch.zeros_like(grid)
    inside = float(torch.trapezoid(head.log_prob(params, grid, last).exp(), grid))
    ends = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    atoms = head.log_prob(params[:2], ends, torch.zeros(2, dtype=torch.float64)).exp()
    assert inside + float(atoms.sum()) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    "head", [ChangeHead(0.3), RelativeHead(SIZE), ZeroInflatedHead(0.7), QuantileBinHead(EDGES, 0.1)]
)
def test_on_the_bounds_probability_cdf_and_draws_agree(head):
    """Atoms have the mass by which the cdf jumps, are drawn as often, and nothing piles up beside them."""
    count = 20001
    u = torch.linspace(0.0, 1.0, count + 2, dtype=torch.float64)[1:-1]
    params, last = parameters(head, 1)[:1].expand(count, -1), torch.full((count,), 0.3, dtype=torch.float64)
    drawn = head.icdf(params, u, last)
    at, middle = drawn.new_tensor([-1.0, 1.0]), last[:2]
    mass = head.log_prob(params[:2], at, middle).exp()
    below = head.cdf(params[:2], at - torch.tensor([0.0, 1e-9]), middle)
    assert head.atoms == (-1.0, 1.0)
    assert float(mass[0]) == pytest.approx(float(below[0]), abs=1e-6)
    assert float(mass[1]) == pytest.approx(1.0 - float(below[1]), abs=1e-6)
    assert float(head.cdf(params[:1], at[1:], last[:1])) == 1.0
    for bound, its in zip(at, mass, strict=True):
        assert float((drawn == bound).double().mean()) == pytest.approx(float(its), abs=2e-4)
        beside = (drawn != bound) & ((drawn - bound).abs() < 1e-4)
        assert float(beside.double().mean()) < 1e-3


@pytest.mark.parametrize("head", [BinaryHead(absorbing=False), LevelHead(5), CategoryHead(5), CountHead(5)])
def test_probabilities_sum_to_one(head):
    levels = 2 if isinstance(head, BinaryHead) else head.levels
    values = torch.linspace(-1.0, 1.0, levels, dtype=torch.float64)
    params = parameters(head)[:1].expand(levels, -1)
    assert float(head.log_prob(params, values, torch.zeros(levels)).exp().sum()) == pytest.approx(1.0)


@pytest.mark.parametrize("head", [LevelHead(4), CategoryHead(4), CountHead(4)])
def test_samples_follow_the_density(head):
    params = parameters(head)[:1].expand(40000, -1)
    u = torch.from_numpy(np.random.default_rng(2).random(40000))
    drawn = head.icdf(params, u, torch.zeros(40000))
    share = torch.bincount(head._index(drawn), minlength=4) / 40000
    assert torch.allclose(share.double(), torch.softmax(head.logits(params[0], torch.tensor(0.0)), -1), atol=0.01)


@pytest.mark.parametrize(
    "head", [ChangeHead(0.3), RelativeHead(SIZE), ZeroInflatedHead(0.3), QuantileBinHead(EDGES, 0.1)]
)
def test_densities_integrate_to_the_cdf_between_any_two_places(head):
    grid = torch.linspace(-0.9999, 0.9999, 40001, dtype=torch.float64)
    params, last = parameters(head, 4)[:1].expand(len(grid), -1), torch.full_like(grid, 0.1)
    mass = torch.cumulative_trapezoid(head.log_prob(params, grid, last).exp(), grid)
    cdf = head.cdf(params, grid, last)
    assert (cdf.diff() >= 0.0).all()
    assert (mass - (cdf[1:] - cdf[0])).abs().max() < 2e-3


@pytest.mark.parametrize(
    "head", [ChangeHead(0.3), RelativeHead(SIZE), ZeroInflatedHead(0.3), QuantileBinHead(EDGES, 0.1)]
)
def test_samples_lie_where_the_cdf_says(head):
    count = 4000
    params, last = parameters(head, 5)[:1].expand(count, -1), torch.full((count,), 0.1, dtype=torch.float64)
    u = torch.from_numpy(np.random.default_rng(6).random(count))
    drawn = head.sample(params, u, last)
    reached = head.cdf(params, drawn, last)
    for atom in head.atoms:  # on a bound any place within the jump is as good as another
        on = drawn == atom
        mass = head.log_prob(params, drawn, last).exp()
        assert float(on.double().mean()) == pytest.approx(float((mass * on).max()), abs=0.02)
        reached = torch.where(on, u, reached)
    assert stats.kstest(reached.numpy(), "uniform").pvalue > 1e-3


def test_bins_lie_where_values_were_recorded():
    satisfaction = Variable("satisfaction", "%", 0.0, 100.0, scale="logit", change=0.2)
    values = np.clip(np.random.default_rng(0).normal(90.0, 8.0, 4000), 0.0, 100.0)
    values[:100] = np.nan
    binned = satisfaction.binned(values, bins=32)
    inside = values[(values > 0.0) & (values < 100.0)]
    shares = np.histogram(inside, [0.0, *binned.edges, 100.0])[0] / len(inside)
    np.testing.assert_allclose(shares, 1 / 32, atol=0.002)
    head = head_for(binned)
    assert isinstance(head, QuantileBinHead)
    assert head.width == 34
    even = torch.zeros(4000, head.width, dtype=torch.float64)
    even[:, 0] = even[:, -1] = -40.0
    u = torch.from_numpy(np.random.default_rng(1).random(4000))
    drawn = binned.from_unit(head.sample(even, u, torch.zeros(4000)).numpy())
    assert stats.ks_2samp(drawn, inside).pvalue > 0.01


def test_evenly_wide_bins_need_no_records_and_impossible_ones_are_refused():
    share = Variable("share", low=0.0, high=1.0)
    assert share.binned(bins=4).edges == pytest.approx((0.25, 0.5, 0.75))
    assert share.binned().edges[0] == pytest.approx(1 / 64)
    with pytest.raises(SpecError, match="bins is 1; allowed: 2 to 256"):
        share.binned(bins=1)
    with pytest.raises(SpecError, match="no recorded value is between its bounds"):
        share.binned(np.array([0.0, 1.0, np.nan]))
    with pytest.raises(SpecError, match=r"edges is .*rising numbers"):
        Variable("share", low=0.0, high=1.0, edges=(0.5, 0.5))
    with pytest.raises(SpecError, match="only on continuous variables"):
        Variable("d", "", 0.0, 6.0, kind="count", edges=(2.0,))


def test_no_order_of_categories_tells_heads_apart():
    """Means are what heads are compared by: names in another order must not change how far heads are apart."""
    head, order = CategoryHead(4), torch.tensor([2, 0, 3, 1])
    params, last = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 3, 1, 1])
    place = order.argsort()  # of each category in the other order
    mean = head.mean(params, 2.0 * last / 3.0 - 1.0)
    torch.testing.assert_close(head.mean(params[..., order], 2.0 * place[last] / 3.0 - 1.0), mean)


def test_a_count_is_negative_binomial_with_zeros_of_its_own():
    head, counts = CountHead(60), torch.arange(60, dtype=torch.float64)
    values, last = counts / 29.5 - 1.0, torch.zeros(60)
    for shape, mean, odds in ((0.243, 0.28, 30.0), (2.0, 1.7, 0.3), (100.0, 1.7, 0.3)):
        theirs = torch.distributions.NegativeBinomial(
            torch.tensor(shape).double(), torch.tensor(mean / (mean + shape)).double()
        )
        there = 1.0 / (1.0 + math.exp(-odds))
        expected = there * theirs.log_prob(counts).exp() + (1.0 - there) * (counts == 0)
        params = torch.zeros(head.width, dtype=torch.float64)
        params[:3] = torch.tensor([odds, math.log(there * mean), math.log(shape)])
        assert torch.allclose(head.log_prob(params.expand(60, -1), values, last)[:-1], expected.log()[:-1], atol=1e-6)
        assert float(head.mean(params[None], last[:1])) == pytest.approx(there * mean)


def test_the_highest_count_stands_for_all_beyond():
    head, params = CountHead(4), torch.zeros(7, dtype=torch.float64)
    params[0], params[1] = 30.0, math.log(8.0)  # geometric with mean 8
    top = head.log_prob(params[None], torch.ones(1).double(), torch.zeros(1))
    assert top.exp().item() == pytest.approx((8.0 / 9.0) ** 3)


def test_at_birth_a_count_may_be_anything():
    head, unknown = CountHead(5), torch.full((5,), torch.nan)
    params = torch.zeros(5, head.width)
    params[:, 3 + 1] = 30.0  # exactly one: the first purchase
    assert torch.allclose(head.log_prob(params, torch.linspace(-1.0, 1.0, 5), unknown).exp(), torch.eye(5)[1])
    assert (head.icdf(params, torch.linspace(0.01, 0.99, 5), unknown) == -0.5).all()
    assert torch.allclose(head.mean(params, unknown), torch.ones(5))


def test_an_absorbed_variable_never_returns():
    head = BinaryHead(absorbing=True)
    params, gone = torch.full((5, 1), 9.0), torch.full((5,), -1.0)
    assert (head.icdf(params, torch.linspace(0.01, 0.99, 5), gone) == -1.0).all()
    assert (head.log_prob(params, gone, gone) == 0.0).all()


def test_change_head_moves_with_the_last_value():
    head = ChangeHead(0.01)
    params = parameters(head)
    shift = head.icdf(params, U, torch.full_like(U, 0.1)) - head.icdf(params, U, torch.zeros_like(U))
    assert torch.allclose(shift, torch.full_like(U, 0.1), atol=1e-6)


def test_change_head_predicts_a_level_of_the_never_seen():
    head = ChangeHead(0.01)
    params, never = parameters(head), torch.full_like(U, torch.nan)
    values = head.icdf(params, U, never)
    assert values.std() > 10 * head.icdf(params, U, torch.zeros_like(U)).std()
    assert torch.isfinite(head.log_prob(params, values, never)).all()
    assert (head.cdf(params, values, never) >= U - 1e-5).all()


def test_relative_head_predicts_growth_in_proportion_to_the_last_value():
    head = RelativeHead(SIZE)
    params, scale = parameters(head), SIZE.scaling
    factors = []
    for size in (1.0, 40.0):
        last = torch.full_like(U, float(scale.to_unit(np.array(size))))
        factors.append(scale.from_unit(head.icdf(params, U, last).numpy()) / size)
    inside = (factors[0] > 0.02) & (factors[0] < 20.0)
    assert inside.sum() > 900
    np.testing.assert_allclose(factors[0][inside], factors[1][inside], rtol=1e-4)
    # A typical change on [-1, 1] is the unit of growth, too: the mixture's quantiles, in that unit, are added to one.
    grown = 1.0 + 0.03 * 0.5 * scale.log_span * ChangeHead(1.0).icdf(params, U, torch.full_like(U, torch.nan)) / 0.5
    few = inside & (np.abs(grown.numpy() - 1.0) < 0.15)
    np.testing.assert_allclose(factors[0][few], grown.numpy()[few], rtol=1e-4)


def test_kind_decides_the_head():
    assert isinstance(head_for(SIZE), RelativeHead)
    assert isinstance(head_for(Variable("a", "U", 0.0, 9.0, scale="log", knee=1.0).binned()), QuantileBinHead)
    assert isinstance(head_for(Variable("f", kind="categorical", levels=("x", "y", "z"))), CategoryHead)
    assert isinstance(head_for(Variable("a", "U", 0.0, 9.0, scale="log", knee=1.0)), ZeroInflatedHead)
    assert isinstance(head_for(Variable("b", "U", 0.0, 9.0)), ChangeHead)
    assert isinstance(head_for(Variable("c", kind="event")), BinaryHead)
    assert head_for(Variable("d", "", 0.0, 6.0, kind="count")).levels == 7
    assert isinstance(head_for(Variable("d", "", 0.0, 6.0, kind="count")), CountHead)
    assert head_for(Variable("f", kind="categorical", levels=("x", "y", "z"))).width == 3
    assert math.isclose(head_for(Variable("e", "U", 0.0, 10.0, change=1.0)).unit, 0.2)


def test_drawing_only_what_is_above_zero_draws_what_all_levels_would():
    """Zeros are drawn without the other levels; the counts must be those of the levels' cumulative probabilities."""
    random = torch.Generator().manual_seed(1)
    head, count = CountHead(13), 4000
    params, u = torch.randn(count, head.width, generator=random), torch.rand(count, generator=random)
    last = torch.where(torch.rand(count, generator=random) < 0.2, torch.nan, 0.0)
    torch.testing.assert_close(head.icdf(params, u, last), LevelHead.icdf(head, params, u, last))
    heads = torch.stack([params, 0.5 * params])  # as many heads share what was seen last
    torch.testing.assert_close(head.mean(heads, last)[1], head.mean(0.5 * params, last))


def test_edges_survive_the_description_of_a_model():
    share = Variable("share", low=0.0, high=1.0).binned(bins=4)
    spec = TwinSpec((), (share,), (), (), {}, 8, "share")
    again = TwinSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert again.variables[0].edges == share.edges
