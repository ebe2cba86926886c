"""What of a card is finished, so that one that was stopped goes on where it was?"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twingym.twins.model import write_atomically

NAME = "card.unfinished.json"


class FinishedBlocks:
    """Blocks of a card by name, kept in a file until the card is written.

    What was computed for something else (other weights, another judge, another effort) is not used.

    Attributes:
        path: The file.
        found: Names of the blocks that an earlier run left.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        """Look for blocks that were finished before.

        Args:
            folder: Of the card.
            key: What the blocks depend on, plain JSON.
        """
        self.path = folder / NAME
        self._key = json.loads(json.dumps(key))
        self._blocks = self._read()
        self.found = tuple(self._blocks)

    def once(self, name: str, compute: Callable[[], Any]) -> Any:
        """Return a block as it will be read from the card, computed now unless it was before."""
        if name not in self._blocks:
            block = json.dumps(compute(), default=float)
            self._blocks[name] = json.loads(block)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, json.dumps({"key": self._key, "blocks": self._blocks}).encode())
        return self._blocks[name]

    def remove(self) -> None:
        """Forget the blocks, once the card holds them."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            return dict(kept["blocks"]) if kept["key"] == self._key else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}
