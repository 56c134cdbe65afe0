import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from mappings.errors import SettingsError
from mappings.settings import SearchSettings, Settings, list_settings, load_settings
from plugin_api.cli import attune

HIDDEN = {"ATTUNE_OPENSEARCH_PASSWORD": "s3cret-1", "ATTUNE_SIDECAR_API_KEYS": "s3cret-2,s3cret-3"}


def config_file(folder: Path, text: str) -> Path:
    path = folder / "attune.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_environment_wins_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    path = config_file(tmp_path, '[search]\nwindow = 50\nalias = "shop"\nkeyword_weight = 2\n')
    settings = load_settings(
        path, {"ATTUNE_SEARCH_WINDOW": "70", "ATTUNE_OPENSEARCH_VERIFY_CERTIFICATES": "False"}
    )
    assert settings.search == SearchSettings(window=70, alias="shop", keyword_weight=2.0)
    assert type(settings.search.keyword_weight) is float
    assert settings.opensearch.verify_certificates is False
    origins = {name: origin for name, _, origin in settings.rows()}
    assert origins["search.window"] == "environment ATTUNE_SEARCH_WINDOW"
    assert origins["search.alias"] == str(path)
    assert origins["search.fusion"] == "default"


def test_settings_reach_another_process_by_its_environment() -> None:
    settings = load_settings(None, HIDDEN | {"ATTUNE_CLICKS_CART_COUNTS": "0", "ATTUNE_NODE_HEAP": "2G"})
    assert load_settings(None, settings.as_environment()) == settings


def test_defaults_are_allowed_themselves() -> None:
    assert load_settings(None, Settings().as_environment()) == Settings()


def test_variables_of_other_programs_are_ignored() -> None:
    others = {
        "ATTUNE_URL": "http://shop",
        "ATTUNE_SERVICE_HOST": "10.0.0.1",  # Kubernetes makes these of a service named attune
        "ATTUNE_PORT": "tcp://10.0.0.1:8080",
        "ATTUNE_SIDECAR_SERVICE_PORT": "8080",
        "ATTUNE_HOME": "/tmp/attune",
    }
    assert load_settings(None, others) == Settings()


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("ATTUNE_SEARCH_WINDOWS", "ATTUNE_SEARCH_WINDOW"),
        ("ATTUNE_SERCH_WINDOW", "ATTUNE_SEARCH_WINDOW"),
        ("ATTUNE_OPENSEARCH_URI", "ATTUNE_OPENSEARCH_URL"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_one_that_was_meant(variable: str, meant: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable} is not a setting; did you mean {meant}"):
        load_settings(None, {variable: "50"})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[search]\nwindw = 5", "unknown setting search.windw; did you mean search.window?"),
        ("[serch]\nwindow = 5", "unknown setting serch.window; did you mean search.window?"),
        ("window = 5", "unknown setting window; did you mean search.window?"),
        ("search = 5", "search is a table: write [search] and its keys below"),
        ("[shop]\nname = 5", "unknown setting shop.name"),
        ("[search]\nwindow = 5000", "search.window must be a whole number from 1 to 1000, not 5000"),
        ('[search]\nwindow = "5"', "search.window must be a whole number from 1 to 1000, not '5'"),
        ("[search]\nwindow = true", "search.window must be a whole number from 1 to 1000, not True"),
        ("[search]\nkeyword_weight = inf", "search.keyword_weight must be a number of at least 0, not inf"),
        ("[clicks]\nprior_strength = 0", "clicks.prior_strength must be a number above 0, not 0"),
        ("[index]\nengine = 'nmslib'", 'index.engine must be "faiss" or "lucene", not \'nmslib\''),
        ("[opensearch]\nurl = 'shop:9200'", "opensearch.url must be an address that begins with http://"),
        ("[preview]\nimage_hosts = 'a b'", "preview.image_hosts must be hosts such as cdn.example.com"),
        ("[preview]\njudgements = 'a.csv.gz'", "preview.judgements must be a file that is not compressed"),
        ("[node]\nheap = '0g'", "node.heap must be a number of m(ega) or g(iga)bytes"),
        ("[search]\nrecall = 'on'", 'search.recall must be "fill" or "off" or "widen", not \'on\''),
        ("[search]\nfloor = 1.5", "search.floor must be a number from 0 to 1, not 1.5"),
        ("[search]\nrescue = 1", "search.rescue must be true or false, not 1"),
        ("[search]\nalways = ['tenant']", "search.always must be a text"),
        ("[search", "can't be read"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_what_is_allowed(
    text: str, complaint: str, tmp_path: Path
) -> None:
    path = config_file(tmp_path, text)
    with pytest.raises(SettingsError, match=re.escape(complaint)) as refused:
        load_settings(path, {})
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value).removesuffix("\n")


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    path = config_file(tmp_path, "[search]\nwindw = 5\n[sidecar]\nport = 70000\n")
    with pytest.raises(SettingsError) as refused:
        load_settings(path, {"ATTUNE_SEARCH_WINDOW": "many"})
    assert [part in str(refused.value) for part in ("search.windw", "sidecar.port", "'many'")] == [True] * 3


def test_image_hosts_may_be_several() -> None:
    hosts = "cdn.example.com, *.example.com:8443,https://img.example.com"
    assert len(load_settings(None, {"ATTUNE_PREVIEW_IMAGE_HOSTS": hosts}).preview.images) == 3


def test_filters_that_always_hold_may_be_of_several_fields() -> None:
    settings = load_settings(None, {"ATTUNE_SEARCH_ALWAYS": " tenant, store ,,"})
    assert settings.search.always_fields == ("tenant", "store")
    assert Settings().search.always_fields == ()


def test_secrets_are_never_shown() -> None:
    settings = load_settings(None, HIDDEN)
    assert settings.sidecar.api_keys == "s3cret-2,s3cret-3"
    assert "s3cret" not in json.dumps([str(row) for row in settings.rows()])
    for arguments in (["config"], ["config", "--json"]):
        shown = CliRunner(env=HIDDEN).invoke(attune, arguments)
        assert shown.exit_code == 0
        assert "***" in shown.output
        assert "s3cret" not in shown.output


@pytest.mark.parametrize(
    "url", ["https://admin:s3cret-1@shop:9200", "admin:s3cret-1@shop", "ftp://a:s3cret@b"]
)
def test_an_address_with_a_password_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(SettingsError, match=r"opensearch\.url must ") as refused:
        load_settings(None, {"ATTUNE_OPENSEARCH_URL": url})
    assert "s3cret" not in str(refused.value)


def test_an_at_sign_in_a_path_is_no_password() -> None:
    load_settings(None, {"ATTUNE_OPENSEARCH_URL": "https://shop:9200/path@1"})


def test_a_secret_of_the_wrong_type_is_refused_without_showing_it(tmp_path: Path) -> None:
    path = config_file(tmp_path, "[opensearch]\npassword = 5318008\n")
    with pytest.raises(SettingsError, match=r"opensearch\.password must be a text") as refused:
        load_settings(path, {})
    assert "5318008" not in str(refused.value)


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"ATTUNE_SIDECAR_TLS_KEY": "a.key"}, "sidecar.tls_key needs sidecar.tls_certificate"),
        ({"ATTUNE_SIDECAR_CLIENT_CA": "a.pem"}, "sidecar.client_ca needs sidecar.tls_certificate"),
        (
            {"ATTUNE_OPENSEARCH_CLIENT_KEY": "a.key"},
            "opensearch.client_key needs opensearch.client_certificate",
        ),
        ({"ATTUNE_INDEX_ENGINE": "faiss"}, 'index.vectors = "byte" needs index.engine = "lucene"'),
        (
            {f"ATTUNE_SEARCH_{head}_WEIGHT": "0" for head in ("RELEVANCE", "CLICK", "PURCHASE")},
            "one of search.relevance_weight, click_weight and purchase_weight must be above 0",
        ),
    ],
)
def test_settings_that_need_each_other(variables: dict[str, str], complaint: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(complaint)):
        load_settings(None, variables)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml does not exist"):
        load_settings(None, {"ATTUNE_CONFIG": str(tmp_path / "nowhere.toml")})


def test_every_setting_says_what_is_allowed() -> None:
    assert all(setting.allowed for setting in list_settings())
