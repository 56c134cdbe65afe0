from mappings.settings import list_settings
from plugin_api.commands.config.settings_table import TARGET, settings_markdown


def test_the_table_of_settings_is_up_to_date() -> None:
    assert TARGET.read_text(encoding="utf-8") == settings_markdown(), (
        "run python -m plugin_api.commands.config.settings_table"
    )


def test_every_setting_is_in_the_table_with_a_description() -> None:
    rows = [line.split(" | ") for line in settings_markdown().splitlines() if line.startswith("| `")]
    assert {row[0].strip("| `") for row in rows} == {setting.name for setting in list_settings()}
    assert all(len(row) == 4 and len(row[3]) > 10 for row in rows)
