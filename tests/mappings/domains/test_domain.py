from pathlib import Path

import pytest

from mappings.domains import SHOP_DOMAIN, Domain, list_domains, load_domain
from mappings.domains.domain import find_settings
from mappings.errors import SettingsError
from mappings.settings import Settings, list_settings, load_settings


def write_domain(folder: Path, text: str) -> str:
    (folder / "domain.toml").write_text(text, encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize("name", list_domains())
def test_each_domain_can_be_read_and_sets_what_is_a_setting(name: str) -> None:
    domain = load_domain(name)
    assert set(find_settings(domain)) <= {setting.name for setting in list_settings()}
    assert all(query.text and query.shows for query in domain.demo.queries)
    assert domain.demo.queries


def test_the_shop_changes_no_setting() -> None:
    assert load_settings(None, {}) == Settings()
    assert load_domain(SHOP_DOMAIN).rules == ()


def test_a_domains_settings_give_way_to_the_file_and_the_environment(tmp_path: Path) -> None:
    folder = write_domain(tmp_path, "[settings.search]\nfloor = 0.1\nwindow = 20\nrrf_k = 7\n")
    config = tmp_path / "attune.toml"
    config.write_text(f'[domain]\nname = "{folder}"\n[search]\nwindow = 30\nrrf_k = 8\n', encoding="utf-8")
    settings = load_settings(config, {"ATTUNE_SEARCH_RRF_K": "9"})
    assert (settings.search.floor, settings.search.window, settings.search.rrf_k) == (0.1, 30, 9)
    assert settings.origins["search.floor"] == f"domain {folder}"


def test_the_option_wins_over_the_setting(tmp_path: Path) -> None:
    folder = write_domain(tmp_path, "[settings.search]\nfloor = 0.1\n")
    environment = {"ATTUNE_DOMAIN_NAME": "shop"}
    assert load_settings(None, environment, folder).domain.name == folder
    assert load_settings(None, environment, folder).search.floor == 0.1
    assert load_settings(None, environment).search.floor == Settings().search.floor


def test_an_empty_folder_is_a_domain_like_a_shop(tmp_path: Path) -> None:
    assert load_domain(str(tmp_path)) == Domain(name=str(tmp_path))
    assert load_domain(str(tmp_path)).field_map is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules = 3", "can't be read"),
        ("[page]\ntitel = 'x'", "titel"),
        ("[", "can't be read"),
        ('[[rules]]\nname = "risk"\nfield = "f"\ntest = "at_most"\nsays = "x"', "range"),
    ],
)
def test_a_broken_domain_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_domain(write_domain(tmp_path, text))


def test_unknown_domains_and_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no domain law.*finance"):
        load_settings(None, {"ATTUNE_DOMAIN_NAME": "law"})
    with pytest.raises(SettingsError, match=r"did you mean search\.floor"):
        load_settings(None, {}, write_domain(tmp_path, "[settings.search]\nflor = 0.1\n"))
