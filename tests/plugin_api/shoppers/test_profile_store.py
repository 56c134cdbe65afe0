import pytest

from plugin_api.shoppers.profile_store import pack_profile, unpack_profile
from reranker.behaviour.counts import Profile, add_purchases, add_texts, add_views


def test_a_profile_comes_back_as_it_was() -> None:
    profile = add_views(
        add_purchases(add_purchases(Profile(), ["tea", "milk"], 20_000), ["tea"], 20_021), ["a"], 20_022.5
    )
    profile = add_texts(profile, ["green tea"], 20_022.75)
    again = unpack_profile(pack_profile(profile))
    assert again.texts == {"green tea": 20_022.75}
    assert again.viewed == profile.viewed
    assert again.bought["milk"] == profile.bought["milk"]
    assert again.bought["tea"].gap == 21
    assert again.counts(20_030)["tea"] == pytest.approx(profile.counts(20_030)["tea"], abs=0.01)


def test_an_empty_profile_comes_back_empty() -> None:
    assert unpack_profile(pack_profile(Profile())) == Profile()
