"""Which test modules `make check` runs: those that need no torch, container, browser or other program.

What a module imports, directly or through others of the project, decides it: nobody has to mark tests.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"
PACKAGES = ("mappings", "reranker", "indexer", "plugin_api", "tests")
HEAVY = frozenset(
    (
        *("torch", "transformers", "onnx", "onnxscript", "bm25s", "ray", "playwright", "testcontainers"),
        *("cohere", "openai", "schemathesis", "kubernetes_validate"),
    )
)
"""Packages that only tests at length may import."""

PROGRAMS = frozenset(("subprocess", "multiprocessing"))
"""Modules by which a test starts other programs."""

FIXTURES = frozenset(("docker", "browser", "postgres"))
"""Fixtures that start something, in modules whose other tests need nothing of it."""


@cache
def is_unit(path: Path) -> bool:
    """Tell whether a test module's tests run fast, with the packages of the extra `check` alone."""
    conftests = (folder / "conftest.py" for folder in path.parents if folder.is_relative_to(TESTS))
    files = (path, *(file for file in conftests if file.is_file()))
    names = {name.partition(".")[0] for file in files for name in _reachable(file)}
    return names.isdisjoint(HEAVY | PROGRAMS)


@cache
def _reachable(path: Path) -> frozenset[str]:
    """Return the names of all modules that importing a file of tests imports, of packages their top level."""
    names: set[str] = set()
    pending, visited = [path], {path}
    while pending:
        file = pending.pop()
        is_of_tests = file.is_relative_to(TESTS)
        for name in _imports(file):
            module = _file(name)
            if module is None:
                if is_of_tests or name.partition(".")[0] in HEAVY:
                    names.add(name)
            elif module not in visited and module.name != "postgres.py":  # its programs come by the fixture
                visited.add(module)
                pending.append(module)
    return frozenset(names)


@cache
def _imports(file: Path) -> tuple[str, ...]:
    tree = ast.parse(file.read_bytes())
    tests = file.is_relative_to(TESTS) and file.name != "conftest.py"
    nodes = ast.walk(tree) if tests else _executed(tree.body)
    return tuple(name for node in nodes for name in _names(node))


def _executed(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run when a module is imported, but for what is imported for types alone."""
    for node in body:
        yield node
        if isinstance(node, ast.Try):
            yield from _executed(node.body)


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def _file(name: str) -> Path | None:
    """Return the file of a module of the project."""
    if name.partition(".")[0] not in PACKAGES:
        return None
    base = ROOT.joinpath(*name.split("."))
    return next((f for f in (base.with_suffix(".py"), base / "__init__.py") if f.is_file()), None)
