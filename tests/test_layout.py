"""Do the folders, the packaging, the links and the lint rules tell the same story?"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = CONFIG["tool"]["setuptools"]
LAYERS = {"twins", "scenarios", "envs", "evaluation", "agents", "experiments"}
OUTSIDE_THE_WHEEL = {"benchmarks"}
USUAL_LINES, MOST_LINES = 300, 400
TELLS_NOTHING = {"utils", "util", "common", "helpers", "helper", "misc"}


def sources() -> list[Path]:
    folders = [ROOT / name for name in sorted({*LAYERS, *OUTSIDE_THE_WHEEL})]
    return [path for folder in [*folders, ROOT / "src"] for path in sorted(folder.rglob("*.py"))]


def test_every_package_folder_is_a_layer() -> None:
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert found - OUTSIDE_THE_WHEEL == LAYERS
    assert not (ROOT / "tests" / "__init__.py").exists()


def code() -> list[Path]:
    """Return every Python file of the layers, relative to the root."""
    return [path.relative_to(ROOT) for layer in sorted(LAYERS) for path in (ROOT / layer).rglob("*.py")]


def test_package_dir_names_the_layers() -> None:
    assert SETUPTOOLS["package-dir"] == {"twingym": "src/twingym", **{f"twingym.{layer}": layer for layer in LAYERS}}


def test_every_folder_with_code_is_a_listed_package() -> None:
    folders = {path.parent for path in code()}
    assert [folder for folder in folders if not (ROOT / folder / "__init__.py").is_file()] == []
    packages = {".".join(["twingym", *folder.parts]) for folder in folders}
    assert sorted(SETUPTOOLS["packages"]) == sorted({"twingym", *packages}), "the wheel has what packages lists"


def test_packages_nest_one_level_deep() -> None:
    assert [path for path in code() if len(path.parts) > len(("layer", "folder", "file.py"))] == []


def test_links_lead_to_the_folders() -> None:
    links = ROOT / ".links" / "twingym"
    stubs = {path.name for path in (ROOT / "src" / "twingym").iterdir() if path.suffix in {".py", ".typed"}}
    assert {path.name for path in links.iterdir()} == LAYERS | stubs
    if not all(path.is_symlink() for path in links.iterdir()):
        pytest.skip("this checkout has no symbolic links; only type checkers need them")
    for path in links.iterdir():
        target = ROOT / path.name if path.name in LAYERS else ROOT / "src" / "twingym" / path.name
        assert path.resolve() == target
        assert not path.readlink().is_absolute()


def test_folder_names_are_banned_as_imports() -> None:
    assert set(CONFIG["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]) == LAYERS


def test_shipped_data_is_declared() -> None:
    declared = {
        path
        for package, patterns in SETUPTOOLS["package-data"].items()
        for pattern in patterns
        for path in (ROOT / SETUPTOOLS["package-dir"][package]).glob(pattern)
    }
    data = {path for layer in LAYERS for path in (ROOT / layer).rglob("*") if path.is_file()}
    left_out = {path for path in data - declared if path.suffix not in {".py", ".pyc"}}
    assert left_out == set(), "add a pattern to package-data, or the wheel lacks these files"


def test_files_are_short() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    for path, count in sorted(lines.items(), key=lambda item: -item[1]):
        if count > USUAL_LINES:
            print(f"{path.relative_to(ROOT)}: {count} lines; most files stay under {USUAL_LINES}")
    assert [path for path, count in lines.items() if count > MOST_LINES] == []


def test_file_names_say_what_is_inside() -> None:
    assert [path for path in [*sources(), *ROOT.glob("tests/*.py")] if path.stem in TELLS_NOTHING] == []
