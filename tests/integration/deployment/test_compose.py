"""`docker compose up --wait` gives OpenSearch, an indexed sample and the sidecar."""

import os
import subprocess
import uuid
from collections.abc import Iterator

import pytest

from tests.integration.stack import COMPOSE, JAVA_OPTIONS, free_port, search

SAMPLE = 200


@pytest.fixture
def sidecar(images: None) -> Iterator[str]:
    """Address of the sidecar of a compose project of its own."""
    port = free_port()
    project = (*COMPOSE, "-p", f"attune-test-{uuid.uuid4().hex[:8]}")
    environment = {
        **os.environ,
        "SIDECAR_PORT": str(port),
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
        yield f"http://127.0.0.1:{port}"
    finally:
        subprocess.run([*project, "down", "-v", "-t", "5"], env=environment, capture_output=True, check=False)


def test_up_waits_until_the_sample_is_searchable(sidecar: str) -> None:
    for _ in range(20):  # a cold OpenSearch may pass the default deadline at first
        answer = search(sidecar, {"query": {"match": {"description": "hard drive"}}, "size": 5}).json()
        if answer["ext"]["attune"]["rerank_status"] == "reranked":
            break
    assert answer["ext"]["attune"]["rerank_status"] == "reranked"
    assert len(answer["hits"]["hits"]) == 5
    everything = search(sidecar, {"query": {"match_all": {}}, "size": 0}).json()
    assert everything["hits"]["total"]["value"] == SAMPLE
