"""Does the page for Stable-Baselines3 users run as printed?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parent.parent / "docs" / "sb3.md"


def test_the_page_has_ten_lines_of_code() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    statements = [line for line in block.splitlines() if line and not line.startswith("from ")]
    assert len(statements) <= 10


@pytest.mark.slow
def test_the_page_runs_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(block, str(PAGE), "exec"), {})
    shown = capsys.readouterr().out
    assert "below_70" in shown
    assert list((tmp_path / "runs" / "mine").rglob("events.out.tfevents.*"))
