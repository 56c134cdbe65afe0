import errno
import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mappings.errors import NodeError
from plugin_api.commands.node.install import (
    Artifact,
    ShowProgress,
    check_disk_space,
    complete_folder,
    download,
    explain_disk_errors,
    extract_archive,
    import_optional,
    make_readable,
)


def quiet(name: str, total: int) -> nullcontext:
    return nullcontext(lambda _: None)


def zipped(files: dict[str, str]) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return memory.getvalue()


CONTENT = zipped({"engine-1.0/bin/run": "#!/bin/sh", "engine-1.0/lib/a.jar": "a" * 50_000})
ENGINE = Artifact("org.example", "engine", "1.0", "zip", hashlib.sha256(CONTENT).hexdigest())


class Repository(ThreadingHTTPServer):
    """A Maven repository of one artifact; `cut` bytes are sent before it hangs up."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.cut = len(CONTENT)
        self.asked = 0

    @property
    def urls(self) -> dict[str, str]:
        return {"here": f"http://127.0.0.1:{self.server_port}"}


class Answer(BaseHTTPRequestHandler):
    server: Repository

    def do_GET(self) -> None:
        if self.path != "/org/example/engine/1.0/engine-1.0.zip":
            self.send_error(404)
            return
        self.server.asked += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: self.server.cut])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def repository() -> Iterator[Repository]:
    with Repository() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_download_is_made_once_and_its_progress_told(repository: Repository, tmp_path: Path) -> None:
    told: list[int] = []

    @contextmanager
    def progress(name: str, total: int) -> Iterator:
        assert (name, total) == ("engine-1.0.zip", len(CONTENT))
        yield told.append

    shown: ShowProgress = progress
    first = download(ENGINE, tmp_path, shown, repository.urls)
    second = download(ENGINE, tmp_path, shown, repository.urls)
    assert first == second == tmp_path / "engine-1.0.zip"
    assert first.read_bytes() == CONTENT
    assert (repository.asked, sum(told)) == (1, len(CONTENT))


def test_a_download_that_was_cut_off_is_not_used_and_the_next_try_succeeds(
    repository: Repository, tmp_path: Path
) -> None:
    repository.cut = 1000
    with pytest.raises(NodeError, match=r"downloading engine-1\.0\.zip failed: .* run the command again"):
        download(ENGINE, tmp_path, quiet, repository.urls)
    assert list(tmp_path.iterdir()) == []
    repository.cut = len(CONTENT)
    assert download(ENGINE, tmp_path, quiet, repository.urls).read_bytes() == CONTENT


def test_what_a_killed_download_left_is_not_taken_for_the_file(
    repository: Repository, tmp_path: Path
) -> None:
    left = tmp_path / "partial/org/example/engine/1.0/engine-1.0.zip"
    left.parent.mkdir(parents=True)
    left.write_bytes(CONTENT[:1000])
    (tmp_path / "engine-1.0.zip").write_bytes(CONTENT[:2000])
    assert download(ENGINE, tmp_path, quiet, repository.urls).read_bytes() == CONTENT


def test_a_file_with_another_checksum_is_refused(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="SHA-256 differs"):
        download(replace(ENGINE, sha256="0" * 64), tmp_path, quiet, repository.urls)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_artifact_and_a_dead_network_are_explained(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="check the network"):
        download(replace(ENGINE, version="2.0"), tmp_path, quiet, repository.urls)
    with pytest.raises(NodeError, match=r"engine-1\.0\.zip failed: .*[Rr]efused.*check the network"):
        download(ENGINE, tmp_path, quiet, {"dead": "http://127.0.0.1:9"})


def test_unpacking_drops_the_leading_folder_and_opens_files_to_every_user(tmp_path: Path) -> None:
    archive = tmp_path / "engine.zip"
    archive.write_bytes(CONTENT)
    extract_archive(archive, tmp_path / "engine", strip=1)
    for path in (tmp_path / "engine").rglob("*"):
        path.chmod(0o700 if path.is_dir() or path.name == "run" else 0o600)
    make_readable(tmp_path / "engine")
    modes = {
        str(p.relative_to(tmp_path / "engine")): p.stat().st_mode & 0o777
        for p in tmp_path.rglob("*")
        if (tmp_path / "engine") in p.parents
    }
    assert modes == {"bin": 0o755, "bin/run": 0o755, "lib": 0o755, "lib/a.jar": 0o644}


def test_a_folder_that_was_not_finished_never_gets_its_name(tmp_path: Path) -> None:
    target = tmp_path / "opensearch"

    def broken() -> None:
        with complete_folder(target) as part:
            (part / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".opensearch.part").mkdir()
    (tmp_path / ".opensearch.part/stale").touch()  # as kill -9 leaves it
    with complete_folder(target) as part:
        (part / "whole").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["opensearch", "whole"]


def test_a_disk_without_room_is_told_of_before_anything_is_downloaded(tmp_path: Path) -> None:
    check_disk_space(tmp_path, 1_000_000, free=lambda _: 1_000_000)
    with pytest.raises(NodeError, match="999 MB free and OpenSearch needs 1000 MB"):
        check_disk_space(tmp_path, 1_000_000_000, free=lambda _: 999_999_999)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "is full"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/a/b"),
            r"can't write to /a/b \(Permission denied\)",
        ),
    ],
)
def test_a_disk_that_refuses_is_explained(error: OSError, message: str, tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=message), explain_disk_errors(tmp_path):
        raise error


def test_a_missing_extra_names_the_line_that_installs_it() -> None:
    with pytest.raises(NodeError, match=r"pip install 'attune\[node\]'"):
        import_optional("no_such_module_at_all")
