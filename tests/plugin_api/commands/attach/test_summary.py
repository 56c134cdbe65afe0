"""What `attune attach --dry-run` prints."""

from dataclasses import replace

from indexer.attach.estimate import AttachEstimate
from mappings.types import Product
from plugin_api.commands.attach.summary import summarize_estimate

ESTIMATE = AttachEstimate(
    name="shop",
    indexes=("shop-2024", "shop-2025"),
    copied=(),
    documents=19_406,
    encoded=0,
    seconds=45.0,
    bytes=80_000_000,
    without_text=0.0,
    products=(Product("7", "Mug", brand="Potter"),),
)


def test_the_work_its_time_and_its_size_are_told() -> None:
    said = summarize_estimate(ESTIMATE)
    assert "encode 19,406 of 19,406 documents of shop-2024, shop-2025." in said
    assert "takes about 45 s" in said
    assert "80.0 MB" in said
    assert "7: Mug (brand: Potter)" in said
    assert "copy takes the place" not in said
    assert "no title or description" not in said
    assert said.endswith("Nothing was changed.")


def test_what_is_copied_and_what_has_no_text_is_told() -> None:
    said = summarize_estimate(replace(ESTIMATE, copied=("shop-2024",), without_text=0.25, seconds=600.0))
    assert "shop-2024: made without index.knn, so a copy takes the place of each." in said
    assert "25% of a sample have no title or description" in said
    assert "takes about 10 minutes" in said
