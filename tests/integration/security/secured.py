"""OpenSearch 2.19.1 with its security plugin, and a sidecar before it.

The sidecar is given the administrator's password in its settings, which is for Attune's commands alone: no
caller may gain by it.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HealthcheckWaitStrategy, HttpWaitStrategy

from tests.integration.stack import LOCKED_DOWN, OPENSEARCH, SLOW_MACHINE_SECONDS, address

KEY = "sesame"
PASSWORD = "Kx7-Quartz-Lantern-9"
PREDICT = "cluster:admin/opensearch/ml/predict"
TEXT = {"fields": ["title^3", "brand^2", "description"], "type": "cross_fields"}
RIGHTS: Mapping[str, tuple[list[str], dict[str, object]]] = {
    "shopper": ([PREDICT], {}),
    "reader": ([], {}),
    "hp_dealer": ([PREDICT], {"dls": '{"term": {"brand.keyword": "HP"}}', "fls": ["~price"]}),
    "text_only": ([PREDICT], {"fls": ["~attune", "~attune.*"]}),
    "titles_only": ([], {"fls": ["~description", "~attributes", "~facets"]}),
}
"""User → cluster permissions, and how reading `products*` is narrowed."""


GATEWAY = "gateway"
"""The user that may act for others."""

SECURITY_SETTINGS = {
    "plugins.security.unsupported.restapi.allow_securityconfig_modification": "true",
    f"plugins.security.authcz.rest_impersonation_user.{GATEWAY}": "shopper,hp_dealer",
}
PROXIES = [
    {
        "op": "replace",
        "path": "/config/dynamic/http/xff",
        "value": {"enabled": True, "internalProxies": ".*", "remoteIpHeader": "X-Forwarded-For"},
    },
    {
        "op": "replace",
        "path": "/config/dynamic/authc/proxy_auth_domain/http_enabled",
        "value": True,
    },
]
"""Trust what names a user in `x-proxy-user`, and the address in `X-Forwarded-For`."""


@dataclass(frozen=True)
class Secured:
    """Addresses of OpenSearch and of the sidecar before it."""

    direct: str
    reranked: str
    sidecar: DockerContainer
    opensearch: DockerContainer
    authority: Path

    def ask(self, base: str, path: str, body: object, user: str = "", **headers: str) -> requests.Response:
        """Post as a user; nobody where it is empty."""
        return requests.post(
            f"{base}/{path}",
            data=body if isinstance(body, str) else json.dumps(body),
            headers={"Content-Type": "application/json", **headers},
            auth=(user, PASSWORD) if user else None,
            verify=False,
            timeout=120,
        )

    def administer(self, kind: str, name: str, body: object) -> None:
        """Define one of the security plugin's roles or users."""
        requests.put(
            f"{self.direct}/_plugins/_security/api/{kind}/{name}",
            json=body,
            auth=("admin", "admin"),
            verify=False,
            timeout=120,
        ).raise_for_status()

    def trust_proxies(self) -> None:
        """Have OpenSearch take users from the headers of a proxy."""
        requests.patch(
            f"{self.direct}/_plugins/_security/api/securityconfig",
            json=PROXIES,
            auth=("admin", "admin"),
            verify=False,
            timeout=120,
        ).raise_for_status()

    def attune(self, *arguments: str) -> str:
        """Run a command as the administrator, where the sidecar runs."""
        code, output = self.sidecar.exec(["attune", *arguments])
        assert code == 0, output.decode()
        return output.decode()


@contextmanager
def running_secured(catalogue: Path, folder: Path) -> Iterator[Secured]:
    """Start one OpenSearch, TLS and users on, and a sidecar, each to the other on localhost."""
    secure = {name: value for name, value in OPENSEARCH.items() if not name.startswith("DISABLE_")}
    secure |= SECURITY_SETTINGS
    opensearch = DockerContainer("opensearchproject/opensearch:2.19.1").with_envs(**secure)
    opensearch.with_kwargs(init=True).with_exposed_ports(9200, 8080, 8000)
    up = HttpWaitStrategy(9200, "/_cluster/health?wait_for_status=yellow").using_tls(insecure=True)
    up.with_basic_credentials("admin", "admin").with_startup_timeout(SLOW_MACHINE_SECONDS)
    with opensearch.waiting_for(up):
        authority = folder / "root-ca.pem"
        authority.write_bytes(opensearch.exec(["cat", "config/root-ca.pem"]).output)
        authority.chmod(0o644)
        sidecar = DockerContainer("attune-sidecar").with_envs(
            ATTUNE_OPENSEARCH_URL="https://localhost:9200",
            ATTUNE_OPENSEARCH_CA_FILE="/ca.pem",
            ATTUNE_OPENSEARCH_USER="admin",
            ATTUNE_OPENSEARCH_PASSWORD="admin",
            ATTUNE_OPENSEARCH_TIMEOUT_SECONDS="120",
            ATTUNE_SIDECAR_API_KEYS=KEY,
            ATTUNE_SIDECAR_DEADLINE_MS="60000",
        )
        shared = f"container:{opensearch.get_wrapped_container().id}"
        sidecar.with_kwargs(**LOCKED_DOWN | {"network_mode": shared, "init": False})
        sidecar.with_volume_mapping(str(authority), "/ca.pem").with_volume_mapping(
            str(catalogue), "/catalogue"
        )
        healthy = HealthcheckWaitStrategy().with_startup_timeout(SLOW_MACHINE_SECONDS)
        with sidecar.waiting_for(healthy):
            host = opensearch.get_container_host_ip()
            direct = f"https://{host}:{opensearch.get_exposed_port(9200)}"
            found = Secured(direct, address(opensearch, 8080), sidecar, opensearch, authority)
            fill(found)
            yield found


def fill(secured: Secured) -> None:
    """Index the sample, make the users, and install Attune in the cluster as well."""
    secured.attune(
        "index",
        "/catalogue/products.jsonl",
        "--fields=/catalogue/fields.toml",
        "--rejects=/dev/shm/rejects.jsonl",
    )
    for user, (cluster, narrowed) in RIGHTS.items():
        role = {
            "cluster_permissions": cluster,
            "index_permissions": [{"index_patterns": ["products*"], "allowed_actions": ["read"], **narrowed}],
        }
        account = {"password": PASSWORD, "opendistro_security_roles": [user]}
        for kind, body in (("roles", role), ("internalusers", account)):
            secured.administer(kind, user, body)


def by_text(text: str, **more: object) -> dict[str, object]:
    return {"query": {"multi_match": {"query": text, **TEXT}}, **more}
