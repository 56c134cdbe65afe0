"""plugin_api as a Python API."""

import doctest

import plugin_api


def test_the_example_in_the_docstring_works() -> None:
    result = doctest.testmod(plugin_api)
    assert (result.failed, result.attempted) == (0, 7)
