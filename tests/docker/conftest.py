"""Without `helm` the chart's tests are skipped, saying so."""

import os
import shutil

import pytest


@pytest.fixture(scope="session", autouse=True)
def helm() -> None:
    """Skip, or fail where TESTS_REQUIRE_HELM is set, unless `helm` is on the PATH."""
    if shutil.which("helm") is None:
        reason = "needs helm 3.13 or newer on the PATH"
        if os.environ.get("TESTS_REQUIRE_HELM"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
