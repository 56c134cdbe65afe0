"""The Python API as the package's docstring and README show it."""

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

import reranker


def test_the_example_of_the_package_works() -> None:
    result = doctest.testmod(reranker)
    assert (result.failed, result.attempted > 3) == (0, True)


@pytest.mark.parametrize("file", ["README.md"])
def test_the_examples_of_the_readme_work(file: str) -> None:
    readme = Path(reranker.__file__).parent / file
    result = doctest.testfile(str(readme), module_relative=False)
    assert (result.failed, result.attempted > 3) == (0, True)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, reranker; "
        "print({'numpy', 'onnxruntime', 'tokenizers', 'torch'} & set(sys.modules)); "
        "from reranker import load_model; print(load_model.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["set()", "load_model"]


def test_the_package_names_what_it_exports() -> None:
    assert set(reranker.__all__) <= set(dir(reranker))
    with pytest.raises(AttributeError, match="no attribute 'load_modell'"):
        reranker.load_modell  # type: ignore[attr-defined]  # noqa: B018
