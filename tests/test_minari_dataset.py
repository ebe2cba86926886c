"""Do courses survive as a Minari dataset, and become a scenario of their own?"""

from __future__ import annotations

import copy
import os
import sys

import numpy as np
import pytest
from tests.test_table_check import SPEC, clinic

from twingym.envs import TwinVectorEnv
from twingym.envs.behaviour import collect
from twingym.scenarios import from_table, get
from twingym.scenarios.table.minari import read_minari, recorded_rewards, write_minari
from twingym.twins import people
from twingym.twins.errors import SpecError


def test_rewards_of_recorded_steps_are_those_of_the_environment():
    scenario = get("Retention-v0")  # with bookkeeping
    ids = people("test", 12)
    courses = collect(scenario, ids, 3, horizon=20)
    env = TwinVectorEnv(scenario, len(ids), dynamics="reference", horizon=20, autoreset="disabled")
    env.reset(seed=3, options={"twins": ids})
    found = recorded_rewards(scenario, courses)
    for t in range(20):
        _, reward, *_ = env.step(courses.delivered[:, t, 0].astype(int))
        np.testing.assert_allclose(found[:, t], reward, rtol=1e-5, atol=1e-6)


def test_without_minari_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(SpecError, match=r"pip install twingym\[minari\]"):
        read_minari("clinic/recorded-v0")


def test_courses_survive_minari_and_become_a_scenario_again(tmp_path, monkeypatch):
    pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    frame = clinic()
    frame.loc[5, "glucose"] = np.nan
    scenario = from_table(SPEC, frame)
    courses = scenario.recorded.courses
    dataset = write_minari(scenario, courses, "clinic/recorded-v0")
    assert dataset.total_episodes == 60
    with pytest.raises(SpecError, match="choose another name"):
        write_minari(scenario, courses, "clinic/recorded-v0")
    table = read_minari("clinic/recorded-v0")
    spec = copy.deepcopy(SPEC)
    spec["dt"] = 1.0
    spec["table"] = {"person": "person", "time": "time", "ignore": ["reward", "ended"]}
    for name in ("sex", "drug"):  # numbers of levels
        levels = SPEC["traits" if name == "sex" else "interventions"][name]["levels"]
        table[name] = table["action_0" if name == "drug" else name].map(dict(enumerate(levels)))
    again = from_table(spec, table.drop(columns="action_0")).recorded.courses
    np.testing.assert_array_equal(again.ids, courses.ids)
    np.testing.assert_array_equal(again.length, courses.length)
    np.testing.assert_allclose(again.observed, courses.observed, rtol=1e-6)
    np.testing.assert_array_equal(again.delivered, courses.delivered)
    with pytest.raises(
        SpecError, match="no Minari dataset 'clinic/none-v0' on this machine; known: clinic/recorded-v0"
    ):
        read_minari("clinic/none-v0")


@pytest.mark.parametrize("stopped", [OSError("disk full"), KeyboardInterrupt()], ids=["full", "stopped"])
def test_a_dataset_is_there_whole_or_not_at_all(stopped, tmp_path, monkeypatch):
    pytest.importorskip("minari")
    storage = pytest.importorskip("minari.dataset._storages.hdf5_storage").HDF5Storage
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    scenario = from_table(SPEC, clinic())
    update = storage.update_episodes

    def stop_after_20(self, episodes):
        update(self, episodes[:20])
        raise stopped

    with monkeypatch.context() as full:
        full.setattr(storage, "update_episodes", stop_after_20)
        message = r"cannot write dataset 'clinic/recorded-v0' \(disk full\), and nothing of it was kept; make room"
        expected, said = (SpecError, message) if isinstance(stopped, OSError) else (KeyboardInterrupt, None)
        with pytest.raises(expected, match=said):
            write_minari(scenario, scenario.recorded.courses, "clinic/recorded-v0")
    assert list(tmp_path.iterdir()) == []
    assert os.environ["MINARI_DATASETS_PATH"] == str(tmp_path)
    assert write_minari(scenario, scenario.recorded.courses, "clinic/recorded-v0").total_episodes == 60
    assert [each.name for each in tmp_path.iterdir()] == ["clinic"]
    assert read_minari("clinic/recorded-v0")["person"].nunique() == 60
