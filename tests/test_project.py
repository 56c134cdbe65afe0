"""The project's own files agree with each other."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS_OF_LOCK = {
    "serve": (),
    "demo": ("node",),
    "index": ("parquet", "chinese"),
    "test": ("node", "parquet", "chinese", "evaluate", "train", "test"),
}


def locked(name: str) -> dict[str, str]:
    """Return package → version of one lock file."""
    text = (ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE))


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_the_newest_changelog_section_is_this_version() -> None:
    sections = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sections[0] == PROJECT["project"]["version"]


@pytest.mark.parametrize("name", EXTRAS_OF_LOCK)
def test_locks_satisfy_what_pyproject_asks_for(name: str) -> None:
    project = PROJECT["project"]
    wanted = [*project["dependencies"]]
    for extra in EXTRAS_OF_LOCK[name]:
        wanted += project["optional-dependencies"][extra]
    versions = locked(name)
    for requirement in map(Requirement, wanted):
        if requirement.name != "attune":
            assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


@pytest.mark.parametrize("name", ["serve", "demo", "index"])
def test_locks_agree_with_each_other(name: str) -> None:
    everything = locked("test")
    assert locked(name).items() <= everything.items()


@pytest.mark.parametrize("name", ["serve", "demo", "index"])
def test_serving_and_indexing_install_no_torch(name: str) -> None:
    assert not {"torch", "transformers", "sentence-transformers"} & locked(name).keys()


def test_pyproject_lists_every_package_on_disk() -> None:
    top = {name.split(".")[0] for name in PROJECT["tool"]["setuptools"]["packages"]}
    on_disk = {
        str(init.parent.relative_to(ROOT)).replace("/", ".")
        for package in top
        for init in (ROOT / package).rglob("__init__.py")
    }
    assert on_disk == set(PROJECT["tool"]["setuptools"]["packages"])


def test_every_file_that_the_code_reads_is_in_the_wheel() -> None:
    """Documents are for readers of the source, data for training from a checkout."""
    for_a_checkout = ("reranker/training/data/electronics", "reranker/training/data/groceries")
    setuptools = PROJECT["tool"]["setuptools"]
    top = {name.split(".")[0] for name in setuptools["packages"]}
    in_wheel = {
        path
        for package, patterns in setuptools["package-data"].items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    needed = {
        path
        for path in tracked()
        if path.relative_to(ROOT).parts[0] in top
        and path.suffix not in (".py", ".md", ".png")
        and not str(path.relative_to(ROOT)).startswith(for_a_checkout)
    }
    assert sorted(needed - in_wheel) == []


def test_no_tracked_file_names_a_package_registry() -> None:
    host = re.compile(
        rb"https?://[a-z0-9.-]*(maven|npmjs|pypi|pythonhosted|crates\.io|proxy\.golang)", re.IGNORECASE
    )
    naming = [str(path.relative_to(ROOT)) for path in tracked() if host.search(path.read_bytes())]
    assert naming == []
