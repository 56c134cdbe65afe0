from collections.abc import Iterator

import pytest
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy

from tests.integration.stack import OPENSEARCH, SLOW_MACHINE_SECONDS, address


@pytest.fixture(scope="package")
def opensearch(docker: None) -> Iterator[str]:
    """The address of an OpenSearch for the demos of all domains."""
    container = DockerContainer("opensearchproject/opensearch:3.5.0").with_exposed_ports(9200)
    container.with_envs(**OPENSEARCH).with_kwargs(init=True)
    up = HttpWaitStrategy(9200, "/_cluster/health?wait_for_status=yellow")
    with container.waiting_for(up.with_startup_timeout(SLOW_MACHINE_SECONDS)):
        yield address(container, 9200)
