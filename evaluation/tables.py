"""How are results kept: CSV tables beside the settings that made them and a manifest of hashes, never overwritten."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twingym.twins.errors import ManifestError, RunExistsError

if TYPE_CHECKING:
    import pandas as pd

MANIFEST, SETTINGS = "manifest.json", "settings.json"
SCHEMA = 1


def write_tables(folder: Path | str, tables: Mapping[str, pd.DataFrame], settings: Mapping[str, Any]) -> Path:
    """Write tables, settings and a manifest into a new folder, all or nothing.

    Args:
        folder: Where to; it must not exist.
        tables: By name; each becomes ``<name>.csv``, numbers with all their digits.
        settings: What made them; becomes ``settings.json``.

    Returns:
        The folder.

    Raises:
        RunExistsError: If the folder exists.
    """
    target = Path(folder)
    if target.exists():
        raise RunExistsError(f"{target} exists; results are never overwritten. Choose another folder or move it away.")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Written beside the target and renamed: whoever looks sees all of it or nothing.
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for name, table in tables.items():
            table.to_csv(draft / f"{name}.csv", index=False, lineterminator="\n")
        (draft / SETTINGS).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        manifest = {"schema": SCHEMA, "sha256": {path.name: _sha256(path) for path in sorted(draft.iterdir())}}
        (draft / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        draft.chmod(0o755)
        try:
            draft.rename(target)
        except OSError as error:
            raise RunExistsError(f"{target} appeared meanwhile; results are never overwritten.") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def verify(folder: Path | str) -> dict[str, str]:
    """Check a folder's files against its manifest.

    Returns:
        The SHA-256 of each file by name.

    Raises:
        ManifestError: If the manifest is missing or broken, or a file is missing, changed or not listed.
    """
    place = Path(folder)
    try:
        wanted: dict[str, str] = json.loads((place / MANIFEST).read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = type(error).__name__
        raise ManifestError(f"{place / MANIFEST} cannot be read ({why}); the results cannot be trusted.") from error
    present = {path.name for path in place.iterdir() if path.is_file()} - {MANIFEST}
    for name in sorted(present ^ set(wanted)):
        state = "not in" if name in present else "missing, but in"
        raise ManifestError(f"{place / name} is {state} {MANIFEST}; write the tables again.")
    for name, digest in wanted.items():
        if _sha256(place / name) != digest:
            raise ManifestError(f"{place / name} was changed after it was written; write the tables again.")
    return wanted


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
