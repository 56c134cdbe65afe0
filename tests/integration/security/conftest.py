"""One secured OpenSearch that all tests of security share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.security.secured import Secured, running_secured


@pytest.fixture(scope="session")
def secured(images: None, catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with running_secured(catalogue, tmp_path_factory.mktemp("security")) as secured:
        yield secured
