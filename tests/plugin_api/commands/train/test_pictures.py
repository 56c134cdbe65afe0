"""`attune train --images` from an index in memory."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from indexer.pictures.encoding import CataloguePictures
from indexer.pictures.sources import FolderPictures
from indexer.rebuild.job import rebuild_index
from mappings.errors import LabelsError, SettingsError
from mappings.settings import PictureSettings, Settings
from plugin_api.cli import attune
from plugin_api.commands.train.pictures import describe_projection, train_pictures
from reranker.pictures.encoder import load_picture_encoder
from reranker.pictures.fitting import ProjectionReport
from tests.fakes.drawings import draw_picture
from tests.fakes.memory_opensearch import MemoryCluster, open_memory
from tests.fakes.mug_jobs import open_session, rebuild_mugs, write_mugs
from tests.fakes.preview_shop import shipped_model


@pytest.fixture
def cluster() -> MemoryCluster:
    return open_memory()


def test_an_index_without_pictures_is_refused(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, _ = cluster
    rebuild_mugs(client, tmp_path)
    with pytest.raises(SettingsError, match="has no pictures"):
        train_pictures(client, "mugs", tmp_path / "out", None, Settings(), seed=1)


def test_an_index_of_another_model_is_refused(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, _ = cluster
    pictures = CataloguePictures(FolderPictures(tmp_path), load_picture_encoder(), PictureSettings(), "byte")
    session = replace(open_session(client), pictures=pictures)
    rebuild_index(session, write_mugs(tmp_path), tmp_path / "rejects.jsonl")
    with pytest.raises(SettingsError, match="--base"):
        train_pictures(client, "mugs", tmp_path / "out", None, Settings(), seed=1)


def test_too_few_pictures_are_refused_and_nothing_is_written(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, _ = cluster
    (tmp_path / "1.png").write_bytes(draw_picture())
    pictures = CataloguePictures(FolderPictures(tmp_path), load_picture_encoder(), PictureSettings(), "byte")
    session = replace(open_session(client, shipped_model()), pictures=pictures)
    rebuild_index(session, write_mugs(tmp_path), tmp_path / "rejects.jsonl")
    out = tmp_path / "out"
    with pytest.raises(LabelsError, match="at least 50"):
        train_pictures(client, "mugs", out, None, Settings(), seed=1)
    assert not out.exists()


def test_a_folder_with_something_in_it_is_not_overwritten(tmp_path: Path, cluster: MemoryCluster) -> None:
    rebuild_mugs(cluster[0], tmp_path)
    with pytest.raises(SettingsError, match="not empty"):
        train_pictures(cluster[0], "mugs", tmp_path, None, Settings(), seed=1)


def test_the_command_needs_an_index(tmp_path: Path) -> None:
    arguments = ["train", "shop.csv", "--images", "--out", str(tmp_path / "out")]
    with pytest.raises(SettingsError, match="--index"):
        CliRunner().invoke(attune, arguments, catch_exceptions=False)


def test_the_report_says_whether_to_use_it(tmp_path: Path) -> None:
    report = ProjectionReport(500, 50, 1.0, 0.6, 0.0, 0.2, True)
    assert "pictures.folder" in describe_projection(report, tmp_path)[1]
    worse = replace(report, is_better=False)
    assert "nothing was written" in describe_projection(worse, tmp_path)[1]
