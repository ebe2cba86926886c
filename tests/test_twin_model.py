"""Does a twin model step people as the interface promises, and survive the disk and a kill?"""

import json

import numpy as np
import pytest
import torch

from twingym.evaluation.fidelity.replay import bring, record, step_noise
from twingym.scenarios import get
from twingym.twins import FitConfig, TwinModel, dataset, fit_twin, people, split_of
from twingym.twins.errors import SpecError, WeightsError
from twingym.twins.fit import CHECKPOINT
from twingym.twins.model import DESCRIPTION, WEIGHTS
from twingym.twins.network import TwinNetwork
from twingym.twins.transformer_config import TransformerConfig

SMALL = TransformerConfig(width=16, layers=2, attention_heads=2, head_width=8, ensemble=3, ensemble_width=8)
QUICK = FitConfig(epochs=2, batches=3, batch_tokens=150, segment=0.5)
STEPS = 90  # beyond the window of 72


@pytest.fixture(scope="module")
def scenario():
    return get("Glucose-v0")


@pytest.fixture(scope="module")
def courses(scenario):
    ids = np.concatenate([people("train", 12), people("validation", 4)])
    return record(scenario, ids, 3, STEPS, scenario.fidelity).courses


@pytest.fixture(scope="module")
def model(scenario):
    return TwinModel(TwinNetwork.untrained(scenario.twin_spec(), SMALL).eval(), {})


def run(dynamics, courses, rows, steps=STEPS, seed=5):
    """Step the people in ``rows`` under their recorded interventions; returns (N, steps + 1, V)."""
    scenario = get("Glucose-v0")
    some = courses.take(np.asarray(rows))
    cohort = scenario.people.sample(some.ids)
    state, observed = dynamics.initial(cohort, some.inputs[:, 0], step_noise(dynamics, some.ids, seed, 0))
    series = [observed]
    for t in range(steps):
        noise = step_noise(dynamics, some.ids, seed, t + 1)
        state, observed = dynamics.step(state, some.delivered[:, t], some.inputs[:, t], noise)
        series.append(observed)
    return np.stack(series, axis=1)


def test_draws_stay_in_bounds_and_hide_auditor_variables(model, courses):
    series = run(model.dynamics(), courses, range(16))
    cgm, plasma, low = np.moveaxis(series, -1, 0)
    assert ((cgm >= 39) & (cgm <= 600)).all()
    assert np.isnan(plasma).all()
    assert set(np.unique(low)) <= {0.0, 1.0}
    assert cgm.std() > 0


@pytest.mark.parametrize("rows", [[5], [5, 2], [5, *range(5), *range(6, 16)], [5] * 100])
def test_a_course_is_bitwise_the_same_in_any_batch(model, courses, rows):
    alone = run(model.dynamics(), courses, [5])[0]
    np.testing.assert_array_equal(run(model.dynamics(), courses, rows)[0], alone)


def test_restart_begins_anew_and_leaves_the_others(scenario, model, courses):
    dynamics, rows = model.dynamics(), np.array([1, 3])
    cohort, ids = scenario.people.sample(courses.ids), courses.ids

    def some_steps(state, begins, first, last):
        seen = []
        for t in range(first, last):
            own = t - begins
            noise = np.concatenate([step_noise(dynamics, ids[[k]], 5, int(own[k]) + 1) for k in range(len(ids))])
            delivered, inputs = courses.delivered[np.arange(16), own], courses.inputs[np.arange(16), own]
            state, observed = dynamics.step(state, delivered, inputs, noise)
            seen.append(observed)
        return state, np.stack(seen, axis=1)

    state, _ = dynamics.initial(cohort, courses.inputs[:, 0], step_noise(dynamics, ids, 5, 0))
    begins = np.zeros(16, dtype=int)
    state, _ = some_steps(state, begins, 0, 20)
    state, first = dynamics.restart(
        state, rows, cohort.take(rows), courses.inputs[rows, 0], step_noise(dynamics, ids[rows], 5, 0)
    )
    begins[rows] = 20
    state, seen = some_steps(state, begins, 20, 80)
    whole = run(dynamics, courses, range(16), 80)
    np.testing.assert_array_equal(first, whole[rows, 0])
    others = np.setdiff1d(np.arange(16), rows)
    np.testing.assert_array_equal(seen[others], whole[others, 21:81])
    # The restarted rows sit in other slots of the ring, so sums round differently.
    np.testing.assert_allclose(seen[rows][..., 0], whole[rows, 1:61][..., 0], atol=2e-2)


def test_branches_are_copies(scenario, model, courses):
    dynamics = model.dynamics()
    state = bring(scenario, dynamics, courses, np.full(16, 30), 3)
    branch = dynamics.take(state, np.array([4, 4, 4]))
    noise, inputs = step_noise(dynamics, courses.ids, 9, 1), courses.inputs[:, 30]
    for _ in range(5):
        branch, _ = dynamics.step(branch, np.full((3, 1), 50.0), inputs[[4, 4, 4]], noise[[4, 4, 4]])
    again = dynamics.take(state, np.arange(16))
    _, one = dynamics.step(state, courses.delivered[:, 30], inputs, noise)
    _, two = dynamics.step(again, courses.delivered[:, 30], inputs, noise)
    np.testing.assert_array_equal(one, two)


def test_a_recorded_past_is_what_the_network_sees(scenario, model, courses):
    """Stepping with ``observe`` gives the hidden state of the network on the encoded course."""
    dynamics, data = model.dynamics(), dataset(courses, scenario.twin_spec())
    order = np.argsort(courses.ids, kind="stable")
    tokens = model.network.tokens(data.seen, data.actions, data.inputs, data.traits[:, None])
    with torch.inference_mode():
        hidden = model.network.trunk(tokens)
    state = bring(scenario, dynamics, courses, np.full(16, STEPS - 1), 3)
    seen = state.seen
    np.testing.assert_allclose(seen.value[order].numpy(), data.seen.value[:, STEPS].numpy(), atol=1e-6)
    np.testing.assert_allclose(seen.change[order].numpy(), data.seen.change[:, STEPS].numpy(), atol=1e-4)
    with torch.inference_mode():
        last = dynamics.network.trunk.decode(tokens[:, STEPS][np.argsort(order)], state.cache)
    np.testing.assert_allclose(last[order].numpy(), hidden[:, STEPS].numpy(), atol=1e-4)


def test_people_may_stop_at_different_points(scenario, model, courses):
    dynamics = model.dynamics()
    stop = np.array([5, 30, 71, 72, 80, 9, 12, 14, 60, 61, 62, 63, 64, 65, 66, 67])
    together = bring(scenario, dynamics, courses, stop, 3)
    alone = bring(scenario, dynamics, courses.take(np.array([1])), stop[1:2], 3)
    np.testing.assert_allclose(together.seen.value[1].numpy(), alone.seen.value[0].numpy())
    noise = np.full((1, dynamics.noise_width), 0.3)
    action, inputs = courses.delivered[[1], 30], courses.inputs[[1], 30]
    _, one = dynamics.step(dynamics.take(together, np.array([1])), action, inputs, noise)
    _, two = dynamics.step(alone, action, inputs, noise)
    np.testing.assert_allclose(one[:, 0], two[:, 0], atol=2e-2)


def test_the_reference_replays_its_own_course(scenario, courses):
    reference = scenario.reference()
    stop = np.arange(20, 36)
    state = bring(scenario, reference, courses, stop, 3)
    rows = np.arange(16)
    noise = step_noise(reference, courses.ids, 3, stop + 1)
    _, observed = reference.step(state, courses.delivered[rows, stop], courses.inputs[rows, stop], noise)
    np.testing.assert_allclose(observed, courses.observed[rows, stop + 1], rtol=1e-12)


def test_save_and_load_draw_the_same(model, courses, tmp_path):
    model.save(tmp_path)
    again = TwinModel.load(tmp_path, model.spec.fingerprint)
    np.testing.assert_array_equal(
        run(again.dynamics(), courses, range(8), 10), run(model.dynamics(), courses, range(8), 10)
    )


def test_corrupt_foreign_and_missing_weights_are_refused(model, tmp_path):
    with pytest.raises(WeightsError, match="twingym fit"):
        TwinModel.load(tmp_path / "nothing")
    model.save(tmp_path)
    with pytest.raises(WeightsError, match="belongs to scenario"):
        TwinModel.load(tmp_path, "another")
    whole = json.loads((tmp_path / DESCRIPTION).read_text())
    for change in ({"spec": {}}, {"config": {"width": 8, "no_such_thing": 1}}):
        (tmp_path / DESCRIPTION).write_text(json.dumps(whole | change))
        with pytest.raises(WeightsError, match="copy again"):
            TwinModel.load(tmp_path)
    (tmp_path / DESCRIPTION).write_text(json.dumps({k: v for k, v in whole.items() if k != "spec"}))
    with pytest.raises(WeightsError, match="'spec'"):
        TwinModel.load(tmp_path)
    (tmp_path / DESCRIPTION).write_text(json.dumps(whole))
    blob = bytearray((tmp_path / WEIGHTS).read_bytes())
    blob[-1] ^= 1
    (tmp_path / WEIGHTS).write_bytes(bytes(blob))
    with pytest.raises(WeightsError, match="corrupt"):
        TwinModel.load(tmp_path)
    (tmp_path / DESCRIPTION).write_text(json.dumps({"schema": 99, "sha256": ""}))
    with pytest.raises(WeightsError, match="schema 99"):
        TwinModel.load(tmp_path)
    (tmp_path / DESCRIPTION).write_text("not json")
    with pytest.raises(WeightsError, match="not a twin description"):
        TwinModel.load(tmp_path)


def test_a_killed_fit_goes_on_to_the_same_weights(scenario, courses, tmp_path):
    spec = scenario.twin_spec()

    class KilledError(Exception):
        pass

    def kill(model, epoch):
        raise KilledError

    whole = fit_twin(courses, spec, None, QUICK, SMALL)
    with pytest.raises(KilledError):
        fit_twin(courses, spec, tmp_path, QUICK, SMALL, after_epoch=kill)
    kept = (tmp_path / CHECKPOINT).read_bytes()
    (tmp_path / CHECKPOINT).write_bytes(kept[:100])
    with pytest.raises(WeightsError, match="delete it to start the fit afresh"):
        fit_twin(courses, spec, tmp_path, QUICK, SMALL)
    (tmp_path / CHECKPOINT).write_bytes(kept)
    resumed = fit_twin(courses, spec, tmp_path, QUICK, SMALL)
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name]), name
    assert list(tmp_path.iterdir()) == []


def test_a_killed_fit_on_fresh_people_goes_on_to_the_same_weights(scenario, courses, tmp_path):
    spec, asked = scenario.twin_spec(), []

    class KilledError(Exception):
        pass

    def kill(model, epoch):
        raise KilledError

    def fresh(epoch):
        asked.append(epoch)
        return courses.take(np.arange(4) + 4 * epoch)

    whole = fit_twin(courses, spec, None, QUICK, SMALL, fresh=fresh)
    assert asked == list(range(QUICK.epochs))
    with pytest.raises(KilledError):
        fit_twin(courses, spec, tmp_path, QUICK, SMALL, fresh=fresh, after_epoch=kill)
    resumed = fit_twin(courses, spec, tmp_path, QUICK, SMALL, fresh=fresh)
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name]), name
    met = np.unique(courses.ids[: 4 * QUICK.epochs])
    assert whole.training["people"] == resumed.training["people"] == (split_of(met) == "train").sum()
    assert not torch.equal(
        next(iter(whole.network.parameters())),
        next(iter(fit_twin(courses, spec, None, QUICK, SMALL).network.parameters())),
    )


def test_another_fits_checkpoint_is_refused(scenario, courses, tmp_path):
    def kill(model, epoch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_twin(courses, scenario.twin_spec(), tmp_path, QUICK, SMALL, after_epoch=kill)
    other = FitConfig(epochs=2, batches=3, batch_tokens=150, segment=0.5, seed=1)
    with pytest.raises(WeightsError, match="another fit"):
        fit_twin(courses, scenario.twin_spec(), tmp_path, other, SMALL)


def test_fitting_leaves_the_global_generator_alone(scenario, courses):
    before = torch.random.get_rng_state()
    fit_twin(courses, scenario.twin_spec(), None, QUICK, SMALL)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_gate_sorts_by_person_and_applies_the_view(scenario, courses):
    data = dataset(courses, scenario.twin_spec(), lambda ids: split_of(ids) == "train")
    assert (np.diff(data.ids) >= 0).all()
    assert (split_of(data.ids) == "train").all()
    with pytest.raises(SpecError, match="leaves 0 of 16"):
        dataset(courses, scenario.twin_spec(), lambda ids: ids < 0)


def test_protected_traits_reach_the_network(scenario, courses):
    data = dataset(courses, scenario.twin_spec())
    hidden_from_policy = [v for v in scenario.traits if not v.seen_by("policy")]
    assert hidden_from_policy
    assert data.traits.shape[1] == sum(len(v.levels) or 1 for v in scenario.traits)
