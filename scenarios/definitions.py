"""What does a function do, as text that a hash can hold: its definition and those that it uses.

Names are enough for what ships with the package, whose behaviour golden courses hold and whose ids are versioned. In a
file of one's own an equation is changed in passing, and weights, runs and verdicts must not outlive the change.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

PACKAGE = __name__.partition(".")[0]


def definition(value: Callable[..., object]) -> object:
    """Return what identifies a function, class or callable object: plain data, to be turned into JSON.

    Docstrings, comments and layout do not count. A function made within another comes with the plain numbers and texts
    that it closes over; one whose source cannot be read (typed into a prompt) is known by its name.
    """
    if isinstance(value, partial):
        done = definition(value.func)
        return "partial" if isinstance(done, str) else [done, repr(value.args), repr(sorted(value.keywords.items()))]
    code = getattr(value, "__code__", None)
    owner = value if code is not None or inspect.isclass(value) else type(value)
    name = str(getattr(value, "__qualname__", type(value).__qualname__))
    module = sys.modules.get(str(owner.__module__))
    if module is None or str(owner.__module__).partition(".")[0] == PACKAGE:
        return name
    try:
        source = _read(inspect.getsource(module))
    except (OSError, TypeError, SyntaxError):
        return name
    top = source.named
    found = source.begins.get(code.co_firstlineno, []) if code else [top[n] for n in (owner.__name__,) if n in top]
    return [name, *_closed_over(value), *_with_what_they_use(found, top)]


def _closed_over(value: Callable[..., object]) -> list[str]:
    if not inspect.isfunction(value):
        return []
    held = inspect.getclosurevars(value).nonlocals
    return [f"{k}={v!r}" for k, v in sorted(held.items()) if isinstance(v, str | int | float | tuple)]


def _begins(node: ast.AST) -> int:
    """Return the line on which Python says that a function begins: that of its first decorator; 0 for other nodes."""
    if isinstance(node, ast.FunctionDef | ast.Lambda):
        decorators: Sequence[ast.expr] = getattr(node, "decorator_list", ())
        return min([node.lineno, *(d.lineno for d in decorators)])
    return 0


def _with_what_they_use(found: Sequence[ast.AST], top: Mapping[str, ast.stmt]) -> list[str]:
    """Return the text of nodes and, by name, of everything in their module that they lead to."""
    texts, waiting = [ast.unparse(node) for node in found], list(found)
    met: dict[str, str] = {}
    while waiting:
        for node in ast.walk(waiting.pop()):
            if isinstance(node, ast.Name) and node.id in top and node.id not in met:
                met[node.id] = ast.unparse(top[node.id])
                waiting.append(top[node.id])
    return texts + [met[name] for name in sorted(met)]


class _Source(NamedTuple):
    """A module's text: its top-level statements by the names they bind, its functions by the line they begin on."""

    named: Mapping[str, ast.stmt]
    begins: Mapping[int, Sequence[ast.AST]]


@lru_cache(maxsize=32)
def _read(text: str) -> _Source:
    tree = ast.parse(text)
    begins: defaultdict[int, list[ast.AST]] = defaultdict(list)
    for node in ast.walk(tree):
        begins[_begins(node)].append(node)
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return _Source({name: statement for statement in tree.body for name in _names(statement)}, begins)


def _names(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
    return []
