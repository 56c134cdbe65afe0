"""No two public names in different modules of the four packages are the same."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("mappings", "reranker", "indexer", "plugin_api")

DELIBERATE = frozenset({"main"})
"""Names that may stand in several modules: `main` is where a program starts."""


def public_names(module: ast.Module) -> Iterator[str]:
    """Yield the functions, classes and constants at the top of a module, imported names left out."""
    for node in module.body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names = [node.name]
            case ast.Assign():
                names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                names = [name]
            case _:
                continue
        yield from (name for name in names if not name.startswith("_"))


def modules_by_name() -> dict[str, set[str]]:
    """Return the modules that define each public name."""
    modules: dict[str, set[str]] = defaultdict(set)
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for name in public_names(ast.parse(path.read_text(encoding="utf-8"))):
            modules[name].add(str(path.relative_to(ROOT)))
    return modules


def test_no_public_name_is_defined_in_two_modules() -> None:
    defined = modules_by_name()
    repeated = {name: sorted(modules) for name, modules in defined.items() if len(modules) > 1}
    new = {name: where for name, where in repeated.items() if name not in DELIBERATE}
    assert not new, f"rename one of each, or begin it with _ where no other module uses it: {new}"
    assert not DELIBERATE - repeated.keys(), "these are unique now: take them out of DELIBERATE"
