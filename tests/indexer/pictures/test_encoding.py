"""Products' pictures through whole jobs, on an OpenSearch in memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.catalogue.guessing import guess_field_map
from indexer.change.job import ChangeJob, apply_changes
from indexer.pictures.encoding import CataloguePictures
from indexer.pictures.sources import FolderPictures
from indexer.rebuild.job import rebuild_index
from indexer.rebuild.rollback import roll_back
from indexer.sources.change_stream import ChangeStream
from indexer.sources.files import open_catalogue
from mappings.errors import SettingsError
from mappings.settings import PictureSettings
from mappings.types import JsonObject
from tests.fakes.drawings import draw_picture
from tests.fakes.mean_colours import MeanColours
from tests.fakes.memory_opensearch import MemoryCluster, open_memory
from tests.fakes.mug_jobs import MUGS, T0, open_session, rebuild_mugs, write_mugs


@pytest.fixture
def cluster() -> MemoryCluster:
    return open_memory()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, colour in enumerate(("red", "green", "blue")):
        (folder / f"{number}.png").write_bytes(draw_picture("square", colour))
    return folder


def read_folder(folder: Path, tower: MeanColours | None = None) -> CataloguePictures:
    return CataloguePictures(FolderPictures(folder), tower or MeanColours(), PictureSettings(), "byte")


def rebuild(cluster: MemoryCluster, folder: Path, pictures: CataloguePictures) -> dict[str, JsonObject]:
    """Rebuild the alias with pictures; return each document's own fields."""
    client, connection = cluster
    session = replace(open_session(client), pictures=pictures)
    report = rebuild_index(session, write_mugs(folder), folder / "rejects.jsonl")
    documents = connection.indexes[report.index].documents
    return {key: source["attune"] for key, source in documents.items()}


def change(cluster: MemoryCluster, folder: Path, line: str, pictures: CataloguePictures | None) -> None:
    path = folder / "changes.csv"
    path.write_text(f"id,title,color\n{line}\n")
    client, _ = cluster
    changes = ChangeJob(
        field_map=lambda stream: guess_field_map(stream.source), rejects=folder / "changes.rejects.jsonl"
    )
    session = replace(open_session(client), pictures=pictures)
    apply_changes(session, changes, [ChangeStream(open_catalogue(path))])


def live_fields(cluster: MemoryCluster, key: str) -> JsonObject:
    _, connection = cluster
    [index] = connection.aliases["mugs"]
    own: JsonObject = connection.indexes[index].documents[key]["attune"]
    return own


def test_products_with_pictures_get_their_vector(
    tmp_path: Path, cluster: MemoryCluster, photos: Path
) -> None:
    pictures = read_folder(photos)
    documents = rebuild(cluster, tmp_path, pictures)
    assert np.argmax(documents["0"]["picture"]) == 0
    assert np.argmax(documents["2"]["picture"]) == 2
    assert "picture" not in documents["3"]
    assert (pictures.stats.encoded, pictures.stats.without) == (3, 7)
    _, connection = cluster
    [index] = connection.aliases["mugs"]
    mappings = connection.indexes[index].body["mappings"]
    assert mappings["properties"]["attune"]["properties"]["picture"]["dimension"] == 3
    assert mappings["_meta"]["attune"]["pictures"] == "colours"


def test_without_pictures_an_index_has_no_trace_of_them(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, connection = cluster
    report = rebuild_mugs(client, tmp_path)
    index = connection.indexes[report.index]
    assert not {"picture", "pictured"} & index.body["mappings"]["properties"]["attune"]["properties"].keys()
    assert "pictures" not in index.body["mappings"]["_meta"]["attune"]
    assert not any({"picture", "pictured"} & of["attune"].keys() for of in index.documents.values())


def test_a_broken_picture_costs_that_picture_alone(
    tmp_path: Path, cluster: MemoryCluster, photos: Path
) -> None:
    (photos / "1.png").write_bytes(b"\x89PNG broken")
    (photos / "2-2.png").write_bytes(b"broken too")
    pictures = read_folder(photos)
    documents = rebuild(cluster, tmp_path, pictures)
    assert [key for key in sorted(documents) if "picture" in documents[key]] == ["0", "2"]
    assert pictures.stats.broken == 2
    assert set(pictures.stats.examples) == {"1.png", "2-2.png"}


def test_a_product_whose_pictures_can_no_longer_be_read_keeps_its_vector(
    tmp_path: Path, cluster: MemoryCluster, photos: Path
) -> None:
    before = rebuild(cluster, tmp_path, read_folder(photos))
    (photos / "1.png").write_bytes(b"half an upload")
    pictures = read_folder(photos)
    assert rebuild(cluster, tmp_path, pictures)["1"]["picture"] == before["1"]["picture"]
    assert (pictures.stats.kept, pictures.stats.broken, pictures.stats.without) == (1, 1, 7)
    (photos / "1.png").write_bytes(draw_picture("square", "yellow"))
    assert rebuild(cluster, tmp_path, read_folder(photos))["1"]["picture"] != before["1"]["picture"]


def test_pictures_that_are_the_same_are_not_encoded_again(
    tmp_path: Path, cluster: MemoryCluster, photos: Path
) -> None:
    before = rebuild(cluster, tmp_path, read_folder(photos))
    (photos / "1.png").write_bytes(draw_picture("square", "yellow"))
    tower = MeanColours()
    after = rebuild(cluster, tmp_path, read_folder(photos, tower))
    assert tower.encoded == 1
    assert after["0"]["picture"] == before["0"]["picture"]
    assert after["1"]["picture"] != before["1"]["picture"]


def test_a_rebuild_without_pictures_drops_them(tmp_path: Path, cluster: MemoryCluster, photos: Path) -> None:
    rebuild(cluster, tmp_path, read_folder(photos))
    rebuild_mugs(cluster[0], tmp_path)
    assert "picture" not in live_fields(cluster, "0")


def test_a_change_of_the_text_keeps_the_picture(tmp_path: Path, cluster: MemoryCluster, photos: Path) -> None:
    before = rebuild(cluster, tmp_path, read_folder(photos))
    change(cluster, tmp_path, "0,Better mug,red", pictures=None)
    assert live_fields(cluster, "0")["picture"] == before["0"]["picture"]
    assert live_fields(cluster, "0")["hash"] != before["0"]["hash"]


def test_a_change_with_pictures_reads_them_anew(tmp_path: Path, cluster: MemoryCluster, photos: Path) -> None:
    before = rebuild(cluster, tmp_path, read_folder(photos))
    (photos / "0.png").write_bytes(draw_picture("disc", "blue"))
    change(cluster, tmp_path, MUGS[0], read_folder(photos))
    assert live_fields(cluster, "0")["picture"] != before["0"]["picture"]


def test_pictures_do_not_go_into_an_index_that_was_made_without(
    tmp_path: Path, cluster: MemoryCluster, photos: Path
) -> None:
    rebuild_mugs(cluster[0], tmp_path)
    with pytest.raises(SettingsError, match="without pictures"):
        change(cluster, tmp_path, "0,Better mug,red", read_folder(photos))


def test_a_rollback_keeps_the_pictures_of_later_changes(
    tmp_path: Path, cluster: MemoryCluster, photos: Path
) -> None:
    before = rebuild(cluster, tmp_path, read_folder(photos))
    rebuild(cluster, tmp_path, read_folder(photos))
    change(cluster, tmp_path, "0,Better mug,red", pictures=None)
    assert live_fields(cluster, "0")["version"] > T0
    roll_back(open_session(cluster[0]))
    assert live_fields(cluster, "0")["picture"] == before["0"]["picture"]
