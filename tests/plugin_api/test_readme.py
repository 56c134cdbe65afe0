"""plugin_api/README.md names what there is."""

import re
from pathlib import Path

import pytest

from mappings.settings import list_settings
from plugin_api.search.reasons import Reason, RerankStatus
from plugin_api.sidecar.openapi import openapi_document

README = (Path(__file__).parents[2] / "plugin_api" / "README.md").read_text(encoding="utf-8")
CODE = set(re.findall(r"`([^`\n]+)`", README))


@pytest.mark.parametrize("kind", [Reason, RerankStatus])
def test_every_reason_and_status_is_named(kind: type[Reason] | type[RerankStatus]) -> None:
    assert sorted(member.value for member in kind if member.value not in CODE) == []


def test_every_route_is_named() -> None:
    paths = {path for path in openapi_document(keyed=True)["paths"] if not path.endswith("/template")}
    assert sorted(paths - CODE - {"/_attune"}) == []


def test_settings_that_are_named_exist() -> None:
    known = {setting.name for setting in list_settings()}
    sections = {name.partition(".")[0] for name in known}
    named = {
        code for code in CODE if re.fullmatch(r"[a-z]+\.[a-z_]+", code) and code.partition(".")[0] in sections
    }
    assert sorted(named - known) == []
