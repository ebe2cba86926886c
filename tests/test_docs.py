"""Does the documentation say what the code does? Its Python runs, its commands parse, its links lead somewhere."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
import tyro
from matplotlib.image import imread
from tests.command_line import twingym

from twingym.experiments.cli import VERBS, main, module_of
from twingym.scenarios import Parameter, registry

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
SHIPPED = [name for name in registry.names() if registry.ships(name)]
MY_SCENARIO = ROOT / "docs" / "my_scenario.py"
TRAINS = "sb3.md"  # its code trains for minutes: tests/test_agents_docs.py runs it as printed
# ```python runs, ```python no-run is checked for syntax only (GitHub colours both).
FENCED = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what follows that in the first line, its text and the line where it begins."""

    language: str
    mark: str
    text: str
    line: int


def blocks(page: Path, language: str) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = [Block(m[1], m[2].strip(), m[3], text.count("\n", 0, m.start()) + 2) for m in FENCED.finditer(text)]
    return [block for block in found if block.language == language]


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command in a page's shell blocks."""
    for block in blocks(page, "bash"):
        for line in block.text.replace("\\\n", " ").splitlines():
            for command in line.split("&&"):
                words = shlex.split(command, comments=True)
                if words:
                    yield words


def named(pages: list[Path]) -> list[object]:
    return [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page in pages]


def script(name: str) -> ModuleType:
    """Import a script of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize("page", named([page for page in PAGES if blocks(page, "python") and page.name != TRAINS]))
def test_python_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    shown = MY_SCENARIO.read_text(encoding="utf-8")
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page, "python"):
        if block.text not in shown and block.mark != "no-run":
            # Blank lines before it make tracebacks point into the page.
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), namespace)


@pytest.mark.parametrize("page", named(PAGES))
def test_python_is_python(page: Path) -> None:
    for block in blocks(page, "python"):
        assert block.mark in ("", "no-run")
        ast.parse(block.text, f"{page.name}, line {block.line}")


@pytest.mark.parametrize("page", named(PAGES))
def test_links_lead_to_files(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", named([page for page in PAGES if blocks(page, "bash")]))
def test_commands_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for words in commands(page):
        match words:
            case ["make", target, *_]:
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page.name}: make {target}"
            case ["twingym", verb, *flags]:
                assert verb in VERBS, f"{page.name}: twingym {verb}"
                tyro.cli(module_of(verb).Args, args=flags)
            case [python, "-m", module, *_] if python.endswith("python") and module.startswith("twingym"):
                assert importlib.util.find_spec(module), f"{page.name}: python -m {module}"
            case [python, file, *_] if python.endswith("python") and file.endswith(".py"):
                assert (ROOT / file).is_file(), f"{page.name}: {file}"


def test_a_wrong_flag_would_be_found() -> None:
    with pytest.raises(SystemExit):
        tyro.cli(import_module("twingym.experiments.train").Args, args=["--enw", "twingym/Glucose-v0"])


def test_the_scenario_table_is_current() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    generate = script("generate")
    assert text.count(generate.BEGIN) == text.count(generate.END) == 1
    assert generate.renewed(text) == text, "run: python docs/generate.py"
    for name in SHIPPED:
        assert f"`twingym/{name}`" in text


@pytest.mark.parametrize("name", SHIPPED)
def test_the_page_of_a_scenario_is_that_of_its_declarations(name: str) -> None:
    path, pages = ROOT / "docs" / "scenarios" / f"{name}.md", script("pages")
    scenario = registry.get(name)
    assert scenario.equations, "a shipped scenario writes its equations out"
    assert path.read_text(encoding="utf-8") == pages.page(scenario), "run: python docs/pages.py"
    assert scenario.provenance
    assert all(parameter.source and parameter.about for parameter in scenario.provenance.values())
    assert len(scenario.versions) == int(name.rpartition("-v")[2]) + 1


def test_every_page_belongs_to_a_scenario() -> None:
    assert {path.stem for path in (ROOT / "docs" / "scenarios").glob("*.md")} == set(SHIPPED)


@pytest.mark.usefixtures("own_registry")
def test_a_page_without_declared_equations_shows_what_the_reference_says_of_itself() -> None:
    pages, scenario = script("pages"), registry.load(MY_SCENARIO)
    assert not scenario.equations
    assert str(scenario.reference.__doc__).partition("\n")[0].strip() in pages.equations(scenario)
    assert pages.equations(replace(scenario, reference=None)).startswith("None:")
    guess, cited = Parameter("kg", "assumption"), Parameter("kg", "A paper", licence="CC BY 4.0")
    assert [pages.licence(p) for p in (guess, cited, replace(cited, licence=""))] == [
        pages.OURS,
        "CC BY 4.0",
        pages.NUMBERS,
    ]


def test_the_tutorial_is_short_and_shows_the_file() -> None:
    text = MY_SCENARIO.read_text(encoding="utf-8")
    assert sum(bool(line.strip()) for line in text.splitlines()) <= 80
    shown = [block for block in blocks(ROOT / "docs" / "tutorial.md", "python") if block.text in text]
    assert len(shown) >= 6


@pytest.mark.usefixtures("own_registry")
def test_the_tutorial_scenario_breaks_and_keeps_its_limits() -> None:
    from twingym.envs import RulePolicy
    from twingym.evaluation import evaluate, verdicts
    from twingym.twins import people

    scenario = registry.load(MY_SCENARIO)
    found = {
        rule: verdicts(evaluate(RulePolicy(scenario, rule), scenario, people("test", 200))).set_index("name")["verdict"]
        for rule in scenario.rules
    }
    assert set(found["by_level"]) == {"pass"}
    assert list(found["one_rate"][["above_20", "harm_gap"]]) == ["fail", "fail"]
    assert found["nothing"]["below_5"] == "fail"


def test_the_plot_is_made_by_the_code(tmp_path: Path) -> None:
    """Another version of the drawing library may set letters differently; another drawing differs by far more."""
    made, kept = (
        imread(path) for path in (script("plots").draw(tmp_path / "course.png"), ROOT / "docs" / "course.png")
    )
    assert made.shape == kept.shape, "run: python docs/plots.py"
    assert (abs(made - kept).max(axis=2) > 0.2).mean() < 0.005, "run: python docs/plots.py"


def succeed(*words: str) -> None:
    """Run a command line and expect it to succeed."""
    assert twingym(*words) == 0


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_registry: None) -> Path:
    """A folder outside the checkout that holds nothing but the tutorial's file."""
    shutil.copy(MY_SCENARIO, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shorten_fits(monkeypatch: pytest.MonkeyPatch, steps: int, **settings: float) -> None:
    """Let fits record fewer steps and train for less than a user would wait for."""
    monkeypatch.setattr("twingym.experiments.fit.STEPS", steps)
    monkeypatch.setattr("twingym.experiments.fit.settings", lambda args, scenario: replace(scenario.fit, **settings))


def judged(run: Path) -> pd.DataFrame:
    return pd.read_csv(run / "tables" / "comparison.csv").set_index(["policy", "dynamics"])


def test_one_command_fits_trains_and_judges_a_file_from_outside(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_fits(monkeypatch, 8_000, epochs=2, batches=5, batch_tokens=1_500)
    little = ("--n-timesteps", "4096", "--n-envs", "64", "--hyperparams", "batch_size:1024")
    succeed("train", "--env", "my_scenario.py", *little, "--eval-people", "40", "--no-progress")
    assert (elsewhere / "my_scenario_twin" / "twin.safetensors").is_file()
    run = elsewhere / "runs" / "ppo" / "Theophylline-v0_1"
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert config["scenario_file"] == str(elsewhere / "my_scenario.py")
    policies = ("ppo", "nothing", "one_rate", "by_level")
    assert set(judged(run).index) == {(name, place) for name in policies for place in ("reference", "transformer")}
    assert list(run.rglob("events.out.tfevents.*"))


@pytest.mark.slow
def test_the_commands_of_the_tutorial_lead_to_a_better_policy(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_fits(monkeypatch, 150_000, epochs=20, batches=40, batch_tokens=5_000)
    for seed in ("0", "1"):
        succeed("train", "--env", "my_scenario.py", "--seed", seed, "--n-timesteps", "600000", "--no-progress")
    runs = [elsewhere / "runs" / "ppo" / f"Theophylline-v0_{number}" for number in (1, 2)]
    succeed("compare", "--runs", *map(str, runs), "--rules", "one_rate", "by_level", "--no-progress")
    found = judged(elsewhere / "runs" / "compare" / "Theophylline-v0_1").xs("reference", level="dynamics")
    agents = [f"ppo/{run.name}" for run in runs]
    assert dict(found["verdict"]) == {"one_rate": "fail", "by_level": "pass"} | dict.fromkeys(agents, "pass")
    # Better than the best rule, where they were not trained.
    assert (found.loc[agents, "return"] > found.loc["by_level", "return"]).all()


# -- from nothing to a judged policy -----------------------------------------------------------------------------------

WALK = ROOT / "docs" / "new_scenario.md"
LITTLE = {
    "fit": ("--epochs", "2", "--batches", "5", "--batch-tokens", "1500"),
    "train": ("--n-timesteps", "4096", "--n-envs", "64", "--hyperparams", "batch_size:1024", "--eval-people", "40"),
    "compare": ("--people", "40"),
}


def walk(root: Path, little: bool) -> pd.DataFrame:
    """Type the commands of the page in a folder; ``little`` gives what takes long other numbers."""
    typed = []
    for program, verb, *words in commands(WALK):
        assert program == "twingym"
        typed.append(verb)
        succeed(verb, *words, *(LITTLE.get(verb, ()) if little else ()))
    assert typed == ["new-scenario", "show", "check-scenario", "check-scenario", "fit", "train", "compare"]
    assert (root / "sleep_scenario_golden.json").is_file()
    assert (root / "sleep_scenario_twin" / "twin.safetensors").is_file()
    found = judged(root / "runs" / "compare" / "Sleep-v0_1")
    policies = ("ppo/Sleep-v0_1", "one_dose", "by_level")
    assert set(found.index) == {(name, place) for name in policies for place in ("reference", "transformer")}
    return found


def test_the_walk_leads_from_nothing_to_a_judged_policy(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twingym.experiments.fit.MOST_HELD_OUT", 100)
    walk(elsewhere, little=True)


def test_the_failure_that_the_walk_shows_is_what_is_told(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    succeed("new-scenario", "Sleep", "--kind", "patient")
    path = elsewhere / "sleep_scenario.py"
    text = path.read_text(encoding="utf-8")
    code = [line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    assert f"{len(text.splitlines())} lines, {len(code)} of them code" in WALK.read_text(encoding="utf-8")
    path.write_text(text.replace("too_much, 0.20", "too_much, 0.9"), encoding="utf-8")
    with pytest.raises(SystemExit, match="1"):
        main(("check-scenario", path.name))
    (shown,) = blocks(WALK, "text")
    assert " ".join(shown.text.split()) in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_the_walk_as_printed_finds_the_better_rule(elsewhere: Path) -> None:
    verdict = walk(elsewhere, little=False)["verdict"]
    assert verdict["by_level", "reference"] == "pass"
    assert verdict["one_dose", "reference"] == "fail"
