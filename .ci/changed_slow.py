"""Print the slow test files that the change under test can reach, one per line.

A layer is used by the layers above it. So a test file is reached if a layer changed that lies at or below the
highest layer it names. What cannot be placed (packaging, CI, fixtures) reaches everything, prose nothing.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("twins", "scenarios", "envs", "evaluation", "agents", "experiments")
TOP = len(LAYERS) - 1
NAMED = re.compile(rf"\btwingym\.({'|'.join(LAYERS)})\b")
PROSE = (".md", ".cff")


def git(*args: str) -> str:
    """Return what git prints, or nothing where it fails."""
    done = subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def changed_files() -> list[str] | None:
    """Return the files changed since main, or on main itself in the last four hours; None if unknown."""
    head = git("rev-parse", "HEAD")
    since_main = git("merge-base", "origin/main", "HEAD")
    since_morning = git("rev-list", "-1", "--before=4 hours ago", "HEAD")
    for base in (since_main, since_morning):
        if base and base != head:
            return git("diff", "--name-only", base, "HEAD").splitlines()
    return None


def height(test: Path) -> int:
    """Return the highest layer that a test file names; making an environment by its id names envs."""
    text = test.read_text(encoding="utf-8")
    named = [LAYERS.index(layer) for layer in NAMED.findall(text)]
    if "twingym/" in text:
        named.append(LAYERS.index("envs"))
    return max(named, default=TOP)


def is_reached(test: Path, changed: list[str]) -> bool:
    """Say whether one of the changed files can alter what a test file shows."""
    for name in changed:
        folder = name.split("/")[0]
        if name == test.relative_to(ROOT).as_posix():
            return True
        if folder in LAYERS:
            if LAYERS.index(folder) <= height(test):
                return True
        elif folder == "benchmarks":
            if "benchmarks" in test.read_text(encoding="utf-8"):
                return True
        elif not re.match(r"(tests/test_|docs/)", name) and not name.endswith(PROSE):
            return True
    return False


def main() -> None:
    """Print the files."""
    changed = changed_files()
    for test in sorted((ROOT / "tests").glob("test_*.py")):
        is_slow = "pytest.mark.slow" in test.read_text(encoding="utf-8")
        if is_slow and (changed is None or is_reached(test, changed)):
            print(test.relative_to(ROOT).as_posix())


if __name__ == "__main__":
    main()
