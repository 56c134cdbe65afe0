import pytest

from plugin_api.sidecar.telemetry.access_log import entry


@pytest.mark.parametrize(
    "target",
    [
        "/_attune/users/anna",
        "/_attune/users/anna%40example.org?x=1",
        "/_attune/%75sers/anna",
        "/%5Fattune/users/anna",
    ],
)
def test_a_forgotten_shopper_is_not_remembered_by_the_log(target: str) -> None:
    made = entry("DELETE", target, 200, 0.1, 80, "r1", "", "")
    assert made.path == "/_attune/users/*"
    assert "anna" not in str(made)


def test_other_paths_are_logged_as_they_came() -> None:
    made = entry("GET", "/shop/_doc/a%2Fb?pretty=true", 200, 0.1, 80, "r1", "", "")
    assert (made.path, made.parameters) == ("/shop/_doc/a%2Fb", ("pretty",))
