"""Values that the chart is rendered with: its defaults, each way of indexing, and everything at once."""

from collections.abc import Mapping
from typing import Any

DATABASE: Mapping[str, Any] = {
    "existingSecret": "shop",
    "indexer": {
        "source": "",
        "table": "products",
        "watermark": "updated_at",
        "deleted": "deleted",
        "fields": 'id = "sku"\ntitle = ["name", "variant"]\n',
        "rebuild": {"enabled": True},
        "changes": {"enabled": True, "followSeconds": 2.5},
    },
}
NGINX: Mapping[str, Any] = {"nginx": {"enabled": True}}
CHANGES: Mapping[str, Any] = {
    "sidecar": {"enabled": False},
    "indexer": {"changes": {"enabled": True, "claim": "changes"}},
}
PODS: Mapping[str, Any] = {
    "podAnnotations": {"a": "b"},
    "podLabels": {"team": "search"},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "search", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "extraEnv": [{"name": "TZ", "value": "UTC"}],
}
"""What the pods of each part can be given."""

CA_VOLUME: Mapping[str, Any] = {
    "extraVolumes": [{"name": "ca", "secret": {"secretName": "ca"}}],
    "extraVolumeMounts": [{"name": "ca", "mountPath": "/ca", "readOnly": True}],
}
EVERYTHING: Mapping[str, Any] = {
    "settings": {
        "opensearch": {
            "url": "https://search.example.com:9200",
            "ca_file": "/ca/ca.crt",
            "verify_certificates": False,
        },
        "sidecar": {"port": 8443, "workers": 2, "max_body_bytes": 20_000_000, "log_format": "json"},
        "search": {"alias": 'a "b" \\ <c> é\n', "vector_weight": 0.25, "keyword_weight": 2},
        "index": {"batch": 128},
        "model": {"folder": "/models/shop", "others": "/models/a,/models/b", "threads": 3},
    },
    "existingSecret": "shop",
    "modelVolume": {"persistentVolumeClaim": {"claimName": "models"}},
    "sidecar": {
        "image": {"repository": "registry.example.com/attune-sidecar", "tag": "1", "pullPolicy": "Always"},
        "tlsSecret": "shop-tls",
        "service": {"type": "LoadBalancer", "port": 443, "annotations": {"a": "b"}},
        "autoscaling": {"enabled": True},
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "annotations": {"a": "b"},
            "hosts": [
                {
                    "host": "search.example.com",
                    "paths": [{"path": "/products/_search", "pathType": "Exact"}],
                }
            ],
            "tls": [{"secretName": "search-tls", "hosts": ["search.example.com"]}],
        },
        **PODS,
        **CA_VOLUME,
        "priorityClassName": "high",
    },
    "nginx": {
        "enabled": True,
        "image": {"repository": "registry.example.com/attune-nginx", "tag": "1", "pullPolicy": "Always"},
        "replicas": 3,
        "connectionsPerAddress": 100,
        "tlsSecret": "shop-tls",
        "service": {"type": "LoadBalancer", "port": 443, "annotations": {"a": "b"}},
        **PODS,
        **CA_VOLUME,
        "priorityClassName": "high",
    },
    "indexer": {
        "catalogueClaim": "catalogue",
        "alias": "shop",
        "fields": 'id = "sku"',
        "rejects": "/rejects/rejects.jsonl",
        "rebuild": {"enabled": True, "timeZone": "Europe/Paris", "extraArgs": ["--simplified"]},
        "changes": {
            "enabled": True,
            "claim": "changes",
            "source": "/changes/shop",
            "extraArgs": ["--simplified"],
        },
        **PODS,
        "priorityClassName": "low",
        "extraVolumes": [{"name": "rejects", "persistentVolumeClaim": {"claimName": "rejects"}}],
        "extraVolumeMounts": [{"name": "rejects", "mountPath": "/rejects"}],
    },
    "metrics": {
        "serviceMonitor": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "tlsConfig": {"insecureSkipVerify": True},
            "authorization": {"name": "shop", "key": "metrics-key"},
        }
    },
    "networkPolicy": {"enabled": True, "from": [{"podSelector": {"matchLabels": {"app": "shop"}}}]},
    "serviceAccount": {"name": "search", "annotations": {"a": "b"}},
    "imagePullSecrets": [{"name": "registry"}],
}
MIXED: Mapping[str, Any] = {  # rebuilt from a database, changed by files
    "existingSecret": "shop",
    "indexer": {
        "source": "",
        "query": "SELECT * FROM products WHERE shop = 'a b'",
        "rebuild": {"enabled": True, "json": False},
        "changes": {"enabled": True, "claim": "changes"},
    },
}
CASES: Mapping[str, Mapping[str, Any]] = {
    "defaults": {},
    "rebuild": {"indexer": {"catalogueClaim": "catalogue", "rebuild": {"enabled": True}}},
    "database": DATABASE,
    "changes": CHANGES,
    "nginx": NGINX,
    "mixed": MIXED,
    "everything": EVERYTHING,
}

REFUSED: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "misspelt value": ({"sidecar": {"replica": 3}}, "replica"),
    "misspelt setting": ({"settings": {"search": {"windw": 50}}}, "windw"),
    "unknown section": ({"settings": {"serch": {"window": 50}}}, "serch"),
    "setting of another type": ({"settings": {"search": {"window": "50"}}}, "window"),
    "password in a ConfigMap": ({"settings": {"opensearch": {"password": "x"}}}, "password"),
    "API keys in a ConfigMap": ({"settings": {"sidecar": {"api_keys": "x"}}}, "api_keys"),
    "Ingress of no path": ({"sidecar": {"ingress": {"enabled": True}}}, "hosts"),
    "nginx without a sidecar": (
        {"sidecar": {"enabled": False}, "nginx": {"enabled": True}},
        "sidecar.enabled",
    ),
    "relative reject file": ({"indexer": {"rejects": "rejects.jsonl"}}, "rejects"),
    "database without address": ({"indexer": {"source": "", "rebuild": {"enabled": True}}}, "existingSecret"),
    "catalogue in no volume": ({"indexer": {"rebuild": {"enabled": True}}}, "indexer.catalogueClaim"),
    "changes in no volume": (
        {"indexer": {"catalogueClaim": "c", "changes": {"enabled": True, "source": "/changes"}}},
        "indexer.changes.claim",
    ),
    "nothing to read of a database": (
        {"existingSecret": "shop", "indexer": {"source": "", "rebuild": {"enabled": True}}},
        "indexer.table",
    ),
    "database without a watermark": (
        {"existingSecret": "shop", "indexer": {"source": "", "table": "a", "changes": {"enabled": True}}},
        "indexer.watermark",
    ),
    "changes that are a file": (
        {"indexer": {"catalogueClaim": "c", "changes": {"enabled": True}}},
        "indexer.changes.claim",
    ),
    "database's address in a ConfigMap": ({"settings": {"database": {"url": "x"}}}, "url"),
    "table and query": (
        {
            "existingSecret": "shop",
            "indexer": {"source": "", "table": "a", "query": "b", "rebuild": {"enabled": True}},
        },
        "exclude each other",
    ),
}
"""What the chart refuses, and what it must name."""
