"""Where does a run keep what it did, so that it can be found, trusted and never overwritten?"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from twingym.evaluation.caveat import assumptions
from twingym.scenarios import registry
from twingym.scenarios.scenario import Scenario
from twingym.twins.errors import ManifestError, RunExistsError, SpecError, nearest

CONFIG, MANIFEST = "config.json", "manifest.json"
CHECKPOINTS, TABLES, FIGURES, EVENTS = "checkpoints", "tables", "figures", "tensorboard"
_RECORDED = ("twingym", "gymnasium", "numpy", "pandas", "safetensors", "scipy", "stable-baselines3", "torch")


@dataclass(frozen=True)
class RunDir:
    """One folder with everything about one run.

    ``config.json`` holds arguments, scenario, versions and commit; ``checkpoints/`` SB3's own files, ``policy/`` the
    exported policy, ``tables/`` CSV, ``figures/`` PNG, ``tensorboard/`` events, and ``manifest.json`` the SHA-256 of
    each file but the events.

    Attributes:
        path: The folder.
    """

    path: Path

    @classmethod
    def create(cls, path: Path, config: Mapping[str, object]) -> RunDir:
        """Make a new folder and write its config.

        Raises:
            RunExistsError: If something is there already.
        """
        try:
            path.mkdir(parents=True)
        except FileExistsError as error:
            raise RunExistsError(
                f"{path} exists already and a run is never overwritten. Name another folder, remove this one, or, if "
                f"it is a training that was stopped, go on with `twingym train --resume {path}`."
            ) from error
        run = cls(path)
        run.write(
            CONFIG, json.dumps({**config, "versions": versions(), "commit": commit()}, indent=1, default=str) + "\n"
        )
        return run

    @classmethod
    def open(cls, path: Path) -> RunDir:
        """Return a run made before.

        Raises:
            SpecError: If the folder is no run; suggests the nearest.
        """
        if not (path / CONFIG).is_file():
            parent = path.parent if path.parent.is_dir() else Path()
            near = nearest(path.name, (p.name for p in parent.iterdir() if (p / CONFIG).is_file()), 0.6)
            guess = f" Did you mean {parent / near}?" if near else ""
            raise SpecError(f"{path} is not a run: it holds no {CONFIG}.{guess} Runs are made by `twingym train`.")
        return cls(path)

    @classmethod
    def stopped(
        cls, path: Path, verb: str, what: str, paths: Collection[str], instead: str
    ) -> tuple[RunDir, dict[str, Any]]:
        """Return a run that was stopped, and the arguments it was begun with.

        Args:
            path: Its folder.
            verb: What made it.
            what: What that is called.
            paths: Names of the arguments that are paths.
            instead: What to do where it is finished.

        Raises:
            SpecError: If something else made it, or it is finished.
        """
        folder = cls.open(path)
        config = folder.config
        if config.get("verb") != verb:
            raise SpecError(f"{path} was made by `twingym {config.get('verb')}`; only a {what} can go on.")
        if (path / MANIFEST).exists():
            raise SpecError(f"{path} is finished; {instead}.")
        kept: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in config["args"].items()
        }
        return folder, kept | {name: Path(kept[name]) for name in paths if kept[name] is not None}

    @property
    def config(self) -> dict[str, Any]:
        """What the run was asked to do.

        Raises:
            SpecError: If the file is corrupt.
        """
        try:
            found = json.loads((self.path / CONFIG).read_text(encoding="utf-8"))
            missing = {"verb", "args", "scenario", "fingerprint"} - set(found)
        except (ValueError, TypeError) as error:
            raise SpecError(f"{self.path / CONFIG} cannot be read ({error}); copy the run again.") from error
        if missing:
            raise SpecError(f"{self.path / CONFIG} lacks {', '.join(sorted(missing))}; copy the run again.")
        return dict(found)

    @property
    def name(self) -> str:
        """A short name for tables: the folder's last two parts."""
        return "/".join(self.path.resolve().parts[-2:])

    def write(self, name: str, text: str) -> Path:
        """Write a text file so that it is there whole or not at all."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.write_text(text, encoding="utf-8")
        part.replace(path)
        return path

    @contextmanager
    def withdrawn_on_failure(self) -> Iterator[None]:
        """Remove the run if what is done within fails, or is stopped, before there is anything but its config."""
        try:
            yield
        except BaseException:
            if {p.name for p in self._files()} <= {CONFIG}:
                shutil.rmtree(self.path)
            raise

    def seal(self) -> None:
        """Write the manifest: the SHA-256 of every file there is now, event files excepted."""
        hashes = {str(p.relative_to(self.path).as_posix()): sha256(p) for p in self._files()}
        self.write(MANIFEST, json.dumps(hashes, indent=1) + "\n")

    def verify(self) -> None:
        """Compare the files with the manifest, if the run was finished and has one.

        Raises:
            ManifestError: If a file was changed or is missing; names it.
        """
        if not (self.path / MANIFEST).is_file():
            return
        for name, digest in json.loads((self.path / MANIFEST).read_text(encoding="utf-8")).items():
            path = self.path / name
            if not path.is_file() or sha256(path) != digest:
                raise ManifestError(
                    f"{path} is {'changed' if path.is_file() else 'missing'}: it differs from {MANIFEST}. Copy the "
                    "run again."
                )

    def _files(self) -> list[Path]:
        found = sorted(p for p in self.path.rglob("*") if p.is_file())
        return [p for p in found if p.name != MANIFEST and not p.name.startswith("events.out") and p.suffix != ".part"]


def free_path(root: Path, *parts: str) -> Path:
    """Return ``root/parts_<n>`` with the first number that is free, as rl-baselines3-zoo names its runs."""
    number = 1
    while (path := root.joinpath(*parts[:-1], f"{parts[-1]}_{number}")).exists():
        number += 1
    return path


def plain(args: Any) -> dict[str, Any]:
    """Return a verb's arguments as JSON holds them."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(args).items()}


def describe(scenario: Scenario) -> dict[str, object]:
    """Return what a run keeps about its scenario: id, fingerprint, limits, and the file if it is one's own."""
    found: dict[str, object] = {
        "scenario": scenario.id,
        "fingerprint": scenario.fingerprint(),
        "limits_hash": scenario.limits_hash(),
    }
    origin = None if registry.ships(scenario.id) else registry.origin(scenario.id)
    if origin is not None:
        found |= {"scenario_file": str(origin), "scenario_sha256": sha256(origin)}
    if scenario.recorded is not None:
        found["tables"] = {p.file: p.sha256 for p in scenario.recorded.provenance.values()}
    if scenario.assumed:
        found["assumed"] = assumptions(scenario)
    return found


def scenario_of(config: Mapping[str, Any]) -> Scenario:
    """Return the scenario that a run was made on.

    Raises:
        SpecError: If its file has changed since.
    """
    where = config.get("scenario_file", config["scenario"])
    scenario = registry.get(where)
    if scenario.fingerprint() != config["fingerprint"]:
        raise SpecError(
            f"scenario {where} has changed since the run was made (fingerprint {scenario.fingerprint()}, was "
            f"{config['fingerprint']}). Restore it, or train again."
        )
    return scenario


def versions() -> dict[str, str]:
    """Return the versions of Python and of what decides a result."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in _RECORDED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """Return the git commit of the current folder, with ``+`` if files differ from it; None outside a repository."""
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed.strip() else "")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
