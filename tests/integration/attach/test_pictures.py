"""Pictures of a shop's own index on real OpenSearch: attached, followed, replaced, taken out."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.attach.job import FollowJob, attach_index, follow_index
from indexer.attach.sample import guess_shop_map, read_sample
from indexer.attach.shop_index import find_shop_indexes, read_attachment
from indexer.attach.updater import AttachReport
from indexer.pictures.encoding import CataloguePictures
from indexer.pictures.sources import FolderPictures
from indexer.store.alias import PICTURES
from mappings.errors import IndexingError, ModelMismatch
from mappings.settings import PictureSettings
from reranker.pictures.encoder import PictureConfig
from tests.fakes.drawings import draw_picture
from tests.fakes.mean_colours import MeanColours
from tests.integration.attach.conftest import AttachedShop


class OtherColours(MeanColours):
    """The same tower as another version."""

    version = "other"


class WideColours(MeanColours):
    """A tower of vectors with one component more."""

    version = "wide"
    config = PictureConfig(32, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 4)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number, colour in enumerate(("red", "green", "blue")):
        (tmp_path / f"{number}.png").write_bytes(draw_picture("square", colour))
    return tmp_path


def read_folder(folder: Path, tower: MeanColours | None = None) -> CataloguePictures:
    return CataloguePictures(FolderPictures(folder), tower or MeanColours(), PictureSettings(), "byte")


def attach(shop: AttachedShop, pictures: CataloguePictures | None) -> AttachReport:
    session = replace(shop.session, pictures=pictures)
    return attach_index(session, guess_shop_map(read_sample(session, find_shop_indexes(session))))


def follow(shop: AttachedShop, pictures: CataloguePictures | None, full: bool = False) -> AttachReport:
    session = replace(shop.session, pictures=pictures)
    return follow_index(session, FollowJob(once=True, full=full), threading.Event())


def colour(shop: AttachedShop, number: int) -> int | None:
    """The strongest colour of a document's picture: 0 red, 1 green, 2 blue; None without a picture."""
    vector = shop.documents()[str(number)]["attune"].get("picture")
    return None if vector is None else int(np.argmax(vector))


def test_documents_get_their_pictures_and_the_index_says_by_which_tower(
    own_shop: AttachedShop, photos: Path
) -> None:
    pictures = read_folder(photos)
    assert attach(own_shop, pictures).encoded == 20
    assert [colour(own_shop, number) for number in range(4)] == [0, 1, 2, None]
    assert (pictures.stats.encoded, pictures.stats.without) == (3, 17)
    (index,) = find_shop_indexes(own_shop.session)
    assert index.metadata[PICTURES] == "colours"
    attachment = read_attachment(own_shop.client, own_shop.name)
    assert attachment is not None
    assert attachment.pictures is not None
    assert (attachment.pictures.place, attachment.pictures.dimension) == (str(photos), 3)
    own_shop.check_in_step()
    own_shop.detach()
    assert read_attachment(own_shop.client, own_shop.name) is None
    assert not any("attune" in source for source in own_shop.documents().values())


def test_an_attached_index_gains_pictures_later_and_no_text_is_encoded_again(
    own_shop: AttachedShop, photos: Path
) -> None:
    own_shop.attach()
    own_shop.encoder.batches.clear()
    assert attach(own_shop, read_folder(photos)).encoded == 3
    assert not own_shop.encoder.batches
    assert attach(own_shop, None).documents == 0
    assert colour(own_shop, 1) == 1


def test_following_encodes_what_changed_and_nothing_else(own_shop: AttachedShop, photos: Path) -> None:
    attach(own_shop, read_folder(photos))
    own_shop.update(0, stock=0)
    own_shop.put(1)  # drops text and picture
    own_shop.update(2, name="Cup 2")
    tower = MeanColours()
    report = follow(own_shop, read_folder(photos, tower))
    assert (report.documents, report.encoded, report.unchanged, tower.encoded) == (3, 2, 1, 1)
    assert [colour(own_shop, number) for number in range(3)] == [0, 1, 2]
    own_shop.check_in_step()
    assert follow(own_shop, read_folder(photos)).documents == 0


def test_a_look_at_every_document_finds_changed_new_and_missing_files(
    own_shop: AttachedShop, photos: Path
) -> None:
    attach(own_shop, read_folder(photos))
    (photos / "0.png").write_bytes(draw_picture("disc", "blue"))
    (photos / "1.png").unlink()
    (photos / "3.png").write_bytes(draw_picture("disc", "green"))
    (photos / "2.png").write_bytes(b"half an upload")
    assert follow(own_shop, read_folder(photos)).documents == 0
    assert follow(own_shop, read_folder(photos), full=True).encoded == 3
    assert [colour(own_shop, number) for number in range(4)] == [2, None, 2, 1]
    found = {"exists": {"field": "attune.picture"}}
    assert own_shop.client.count(index=own_shop.name, body={"query": found})["count"] == 3


def test_an_index_that_is_copied_has_pictures_too(empty_shop: AttachedShop, photos: Path) -> None:
    empty_shop.create(empty_shop.name, knn=False)
    for number in range(5):
        empty_shop.put(number)
    attach(empty_shop, read_folder(photos))
    assert [colour(empty_shop, number) for number in range(4)] == [0, 1, 2, None]


def test_another_tower_is_refused_until_the_index_is_attached_with_it(
    own_shop: AttachedShop, photos: Path
) -> None:
    own_shop.attach()
    with pytest.raises(ModelMismatch, match="without pictures"):
        follow(own_shop, read_folder(photos))
    attach(own_shop, read_folder(photos))
    with pytest.raises(ModelMismatch, match="attune attach"):
        follow(own_shop, read_folder(photos, OtherColours()))
    tower = OtherColours()
    attach(own_shop, read_folder(photos, tower))
    assert tower.encoded == 3
    with pytest.raises(IndexingError, match="of 3 components, and picture tower wide makes 4"):
        attach(own_shop, read_folder(photos, WideColours()))
