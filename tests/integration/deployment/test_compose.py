"""`docker compose --profile nginx up --wait` gives OpenSearch, an indexed sample, the sidecar and nginx."""

import os
import subprocess
import uuid
from collections.abc import Iterator

import pytest

from tests.integration.stack import COMPOSE, JAVA_OPTIONS, free_port, search

SAMPLE = 200


@pytest.fixture
def addresses(images: None) -> Iterator[tuple[str, str]]:
    """Where the sidecar and nginx of a compose project of its own are."""
    sidecar, nginx = free_port(), free_port()
    project = (*COMPOSE, "--profile", "nginx", "-p", f"attune-test-{uuid.uuid4().hex[:8]}")
    environment = {
        **os.environ,
        "SIDECAR_PORT": str(sidecar),
        "NGINX_PORT": str(nginx),
        "OPENSEARCH_PORT": str(free_port()),
        "OPENSEARCH_JAVA_OPTS": JAVA_OPTIONS,
        "SAMPLE": str(SAMPLE),
    }
    try:
        up = subprocess.run(
            [*project, "up", "--wait", "--wait-timeout", "240"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert up.returncode == 0, up.stderr[-4000:]
        yield f"http://127.0.0.1:{sidecar}", f"http://127.0.0.1:{nginx}"
    finally:
        subprocess.run([*project, "down", "-v", "-t", "5"], env=environment, capture_output=True, check=False)


def test_up_waits_until_the_sample_is_searchable(addresses: tuple[str, str]) -> None:
    for address in addresses:
        for _ in range(20):  # a cold OpenSearch may pass the default deadline at first
            answer = search(address, {"query": {"match": {"description": "hard drive"}}, "size": 5}).json()
            if answer["ext"]["attune"]["rerank_status"] == "reranked":
                break
        assert answer["ext"]["attune"]["rerank_status"] == "reranked"
        assert len(answer["hits"]["hits"]) == 5
        everything = search(address, {"query": {"match_all": {}}, "size": 0}).json()
        assert everything["hits"]["total"]["value"] == SAMPLE
