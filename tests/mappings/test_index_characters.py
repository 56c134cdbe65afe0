"""Characters that a new index searches as others."""

from mappings.client import index_body
from mappings.settings import IndexSettings


def test_every_analyzer_reads_characters_as_others_first() -> None:
    body = index_body(384, IndexSettings(), same_characters={ord("機"): "机"})
    analysis = body["settings"]["analysis"]
    assert analysis["char_filter"]["attune_characters"]["mappings"] == ["機=>机"]
    assert {each["char_filter"][0] for each in analysis["analyzer"].values()} == {"attune_characters"}


def test_no_characters_no_filter() -> None:
    analysis = index_body(384, IndexSettings())["settings"]["analysis"]
    assert "attune_characters" not in analysis["char_filter"]
