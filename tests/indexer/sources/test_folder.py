import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from indexer.catalogue.records import Record
from indexer.sources.change_stream import ChangeStream
from indexer.sources.folder import watch_folder
from mappings.errors import CatalogueError

SETTLE = 0.05


def put(folder: Path, name: str, *ids: str) -> Path:
    path = folder / name
    path.write_text("".join(f'{{"id": "{product}"}}\n' for product in ids))
    return path


def ids(stream: ChangeStream) -> list[object]:
    return [record.values["id"] for record in stream.source.records() if isinstance(record, Record)]


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def once(folder: Path, note: Callable[[str], None] = lambda _: None) -> list[object]:
    found = []
    for stream in watch_folder(folder, say=note, settle_seconds=SETTLE):
        found += ids(stream)
        stream.ack()
    return found


def test_one_pass_in_the_order_of_names(tmp_path: Path) -> None:
    put(tmp_path, "b.jsonl", "3")
    put(tmp_path, "a.jsonl", "1", "2")
    (tmp_path / "c.csv").write_text("id,title\n4,Mug\n")
    for name in (".hidden.jsonl", "a.jsonl.tmp", "b.jsonl.part", "c.csv.PARTIAL"):
        put(tmp_path, name, "no")
    (tmp_path / "list.pdf").write_text("<a/>")
    (tmp_path / "folder.jsonl").mkdir()
    notes: list[str] = []
    assert once(tmp_path, notes.append) == ["1", "2", "3", "4"]
    left = {".hidden.jsonl", "a.jsonl.tmp", "b.jsonl.part", "c.csv.PARTIAL", "list.pdf"}
    assert names(tmp_path) == left | {"done/a.jsonl", "done/b.jsonl", "done/c.csv"}
    assert len(notes) == 1
    assert "list.pdf is not a catalogue file" in notes[0]
    assert once(tmp_path) == []


def test_names_that_are_taken_are_numbered(tmp_path: Path) -> None:
    for product in "123":
        put(tmp_path, "a.new.jsonl", product)
        assert once(tmp_path) == [product]
    assert names(tmp_path) == {"done/a.new.jsonl", "done/a.2.new.jsonl", "done/a.3.new.jsonl"}
    assert (tmp_path / "done/a.3.new.jsonl").read_text() == '{"id": "3"}\n'


def test_a_file_that_can_not_be_used_goes_to_failed_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('[{"id": "2"},')
    put(tmp_path, "b.jsonl", "1")
    found, notes = [], []
    for stream in watch_folder(tmp_path, say=notes.append, settle_seconds=SETTLE):
        try:
            found += ids(stream)
        except CatalogueError as error:
            stream.nack(error)
        else:
            stream.ack()
    assert found == ["1"]
    assert names(tmp_path) == {"failed/a.jsonl", "failed/a.jsonl.reason.txt", "done/b.jsonl"}
    assert "cut off" in (tmp_path / "failed/a.jsonl.reason.txt").read_text()
    assert "failed/a.jsonl" in notes[0]


def test_a_growing_file_holds_back_those_behind_it(tmp_path: Path) -> None:
    put(tmp_path, "a.jsonl", "1")
    growing = put(tmp_path, "b.jsonl", "2")
    put(tmp_path, "c.jsonl", "3")
    ended = threading.Event()

    def write() -> None:
        with growing.open("a") as file:
            while not ended.wait(SETTLE / 10):
                file.write('{"id": "4"}\n')
                file.flush()

    writer = threading.Thread(target=write)
    writer.start()
    notes: list[str] = []
    try:
        assert once(tmp_path, notes.append) == ["1"]
    finally:
        ended.set()
        writer.join()
    assert notes == ["b.jsonl is being written: it and what is behind it are left to the next run"]
    found = once(tmp_path)
    assert found[0] == "2"
    assert found[-1] == "3"


def test_following_takes_files_as_they_arrive(tmp_path: Path) -> None:
    stop = threading.Event()
    streams = watch_folder(tmp_path, 0.02, stop, settle_seconds=SETTLE)
    for number in range(3):
        hidden = put(tmp_path, ".new", str(number))
        threading.Timer(0.1, hidden.rename, [tmp_path / f"{number}.jsonl"]).start()
        stream = next(streams)
        assert ids(stream) == [str(number)]
        stream.ack()
    threading.Timer(0.1, stop.set).start()
    assert list(streams) == []


def test_what_is_written_while_it_is_read_is_not_put_away(tmp_path: Path) -> None:
    path = put(tmp_path, "a.jsonl", "1")
    found, notes = [], []
    for stream in watch_folder(tmp_path, say=notes.append, settle_seconds=SETTLE):
        found += ids(stream)
        if len(found) == 1:
            put(tmp_path, "new.tmp", "2", "3").rename(path)
        stream.ack()
    assert found == ["1", "2", "3"]
    assert names(tmp_path) == {"done/a.jsonl"}
    assert "was written again meanwhile" in notes[0]


def test_a_file_left_alone_is_not_given_twice_in_a_run_but_in_the_next(tmp_path: Path) -> None:
    path = put(tmp_path, "a.jsonl", "1")
    for _ in range(2):
        streams = watch_folder(tmp_path, settle_seconds=SETTLE)
        stream = next(streams)
        assert next(streams, None) is None
        assert path.exists()
    path.unlink()
    stream.ack()
    stream.nack(CatalogueError("gone"))


def test_moments_are_those_of_the_files(tmp_path: Path) -> None:
    os.utime(put(tmp_path, "a.jsonl", "1"), (1_700_000_000, 1_700_000_000.25))
    (stream,) = watch_folder(tmp_path, settle_seconds=SETTLE)
    assert stream.source.moment_ms == 1_700_000_000_250
    assert stream.source.name == str(tmp_path / "a.jsonl")


def test_a_folder_that_is_lost_and_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    notes: list[str] = []

    def bring_back(text: str) -> None:
        notes.append(text)
        folder.mkdir()
        put(folder, "b.jsonl", "2")

    put(folder, "a.jsonl", "1")
    streams = watch_folder(folder, 0.02, say=bring_back, settle_seconds=SETTLE)
    assert ids(next(streams)) == ["1"]
    folder.rename(tmp_path / "away")
    stream = next(streams)
    assert ids(stream) == ["2"]
    stream.ack()
    assert names(folder) == {"done/b.jsonl"}
    assert len(notes) == 1
    assert "can't be read: No such file or directory; trying again in 0.02 s" in notes[0]


def test_a_folder_that_can_not_be_used(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="not a folder: make it"):
        next(watch_folder(tmp_path / "none"))
    (tmp_path / "done").write_text("")
    with pytest.raises(CatalogueError, match="let the indexer write there"):
        next(watch_folder(tmp_path))


def test_a_read_only_folder() -> None:
    folder = Path(tempfile.mkdtemp(prefix="attune-watched-"))
    folder.chmod(0o555)
    nobody = os.geteuid() == 0  # whom alone a mode does not bind
    if nobody:
        os.seteuid(65534)
    try:
        with pytest.raises(CatalogueError, match=r"Permission denied.*let the indexer write there"):
            next(watch_folder(folder))
    finally:
        if nobody:
            os.seteuid(0)
        folder.rmdir()


@pytest.mark.parametrize("make", [Path.symlink_to, Path.hardlink_to])
def test_links_are_never_read(tmp_path: Path, make: Callable[[Path, Path], None]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    secret = put(tmp_path, "secret.jsonl", "secret")
    make(folder / "a.jsonl", secret)
    put(folder, "b.jsonl", "1")
    notes: list[str] = []
    assert once(folder, notes.append) == ["1"]
    assert len(notes) == 1
    assert notes[0].startswith("passed over: ")


def test_a_file_that_becomes_a_link_before_it_is_read_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    secret = put(tmp_path, "secret.jsonl", "secret")
    path = put(folder, "a.jsonl", "1")
    (stream,) = watch_folder(folder, settle_seconds=SETTLE)
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(CatalogueError, match="can't be read"):
        ids(stream)


def test_pipes_are_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    notes: list[str] = []
    assert once(tmp_path, notes.append) == []
    assert "only regular files" in notes[0]


def test_reasons_never_follow_a_link_nor_replace_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "failed").mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (folder / "failed/a.jsonl").write_text("of an earlier run")
    (folder / "failed/a.2.jsonl.reason.txt").symlink_to(victim)
    put(folder, "a.jsonl", "1")
    for stream in watch_folder(folder, settle_seconds=SETTLE):
        stream.nack(CatalogueError("broken"))
    assert victim.read_text() == "untouched"
    assert (folder / "failed/a.jsonl").read_text() == "of an earlier run"
    assert (folder / "failed/a.2.jsonl").read_text() == '{"id": "1"}\n'
    assert (folder / "failed/a.2.2.jsonl.reason.txt").read_text() == "broken\n"


def test_done_must_not_be_a_link(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (folder / "done").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CatalogueError, match="can't be moved"):
        next(watch_folder(folder))
