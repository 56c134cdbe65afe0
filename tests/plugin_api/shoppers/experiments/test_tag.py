import pytest

from plugin_api.shoppers.experiments.tag import ExperimentTag, read_tag, write_tag

TAG = ExperimentTag("softer-words", "interleaved", 20, (False, False, True, False))

FULL = ExperimentTag("d", "fifth", 0, (), 0.1234, 23, 1_800_000_000, 1_234, True)


@pytest.mark.parametrize(
    "tag",
    [
        TAG,
        ExperimentTag("a", "first"),
        ExperimentTag("b-2", "second", 10),
        ExperimentTag("c", "interleaved"),
        FULL,
    ],
)
def test_what_is_written_is_read(tag: ExperimentTag) -> None:
    assert read_tag(write_tag(tag, "key"), "key") == tag


def test_every_answer_has_a_tag_of_its_own() -> None:
    assert write_tag(TAG, "key") != write_tag(TAG, "key")


def test_what_was_changed_or_signed_by_another_key_is_not_read() -> None:
    text = write_tag(TAG, "key")
    assert read_tag(text, "other") is None
    assert read_tag(text.replace(".i.", ".a."), "key") is None
    assert read_tag("an ordinary query id", "key") is None
    assert read_tag("", "key") is None


def test_places_count_from_the_first_page() -> None:
    assert [TAG.find_team(place) for place in (20, 21, 23, 24, 25, 0)] == [
        None,
        False,
        True,
        False,
        None,
        None,
    ]


def test_a_page_of_many_hits_still_fits_into_a_query_id() -> None:
    tag = ExperimentTag("n" * 40, "interleaved", 99_999, (True,) * 1_000)
    text = write_tag(tag, "key")
    assert len(text) <= 256
    read = read_tag(text, "key")
    assert read is not None
    assert (read.find_team(100_000), read.find_team(100_999)) == (True, None)
