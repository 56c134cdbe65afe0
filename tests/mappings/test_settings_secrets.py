import json
import re

import pytest
from click.testing import CliRunner

from mappings.errors import SettingsError
from mappings.settings import load_settings
from plugin_api.cli import attune

SECRETS = {"ATTUNE_OPENSEARCH_PASSWORD": "s3cret-1", "ATTUNE_SIDECAR_API_KEYS": "s3cret-2,s3cret-3"}


def test_secrets_are_never_shown() -> None:
    settings = load_settings(None, SECRETS)
    assert settings.sidecar.api_keys == "s3cret-2,s3cret-3"
    assert "s3cret" not in json.dumps([str(row) for row in settings.rows()])
    for arguments in (["config"], ["config", "--json"]):
        shown = CliRunner(env=SECRETS).invoke(attune, arguments)
        assert shown.exit_code == 0
        assert "***" in shown.output
        assert "s3cret" not in shown.output


def test_an_address_with_a_password_is_refused_without_showing_it() -> None:
    url = "https://admin:s3cret-1@shop:9200"
    with pytest.raises(SettingsError, match=r"^opensearch\.url must hold no name or password") as refused:
        load_settings(None, {"ATTUNE_OPENSEARCH_URL": url})
    assert "s3cret" not in str(refused.value)
    load_settings(None, {"ATTUNE_OPENSEARCH_URL": "https://shop:9200/path@1"})


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("ATTUNE_SIDECAR_LOG_FORMAT", "xml", 'sidecar.log_format must be "text" or "json"'),
        ("ATTUNE_SIDECAR_TLS_KEY", "a.key", "sidecar.tls_key needs sidecar.tls_certificate"),
        ("ATTUNE_SIDECAR_CLIENT_CA", "a.pem", "sidecar.client_ca needs sidecar.tls_certificate"),
        (
            "ATTUNE_OPENSEARCH_CLIENT_KEY",
            "a.key",
            "opensearch.client_key needs opensearch.client_certificate",
        ),
    ],
)
def test_settings_that_need_each_other(variable: str, value: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(complaint)):
        load_settings(None, {variable: value})
