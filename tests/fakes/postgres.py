"""A PostgreSQL of the tests' own, in a temporary folder and on a free port, that they can crash."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

USER = "shop"
PASSWORD = "s3cr@t/word"
PASSWORD_IN_URL = "s3cr%40t%2Fword"
DATABASE = "postgres"


class PostgresServer:
    """One server. `crash` ends it at once, with every connection, and `start` brings it back."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._server: subprocess.Popen[bytes] | None = None
        # PostgreSQL refuses to run as root.
        self._user = _unprivileged() if os.getuid() == 0 else None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        password = folder / "password"
        password.write_text(PASSWORD)
        if self._user:
            for path in (folder, password):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
        options = ["-D", folder / "data", "-U", USER, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "-N"]
        done = subprocess.run(
            [programs / "initdb", *options, f"--pwfile={password}"],
            capture_output=True,
            text=True,
            check=False,
            **self._as_user(),
        )
        assert done.returncode == 0, done.stderr

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{PASSWORD_IN_URL}@127.0.0.1:{self.port}/{DATABASE}"

    def connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(self.url, autocommit=True, connect_timeout=5)

    def execute(self, *statements: str) -> None:
        with self.connect() as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]

    def start(self) -> None:
        settings = ["listen_addresses=127.0.0.1", "fsync=off", f"unix_socket_directories={self._folder}"]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [
                    *(self._programs / "postgres", "-D", self._folder / "data", "-p", str(self.port)),
                    *(part for setting in settings for part in ("-c", setting)),
                ],
                stdout=log,
                stderr=log,
                **self._as_user(),
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.connect().close()
            except psycopg.OperationalError:
                if self._server.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"PostgreSQL does not start: {(self._folder / 'log').read_text()[-2000:]}")
                time.sleep(0.1)

    def crash(self) -> None:
        self._end(signal.SIGQUIT)  # "immediate shutdown": all its processes end, the next start recovers

    def stop(self) -> None:
        self._end(signal.SIGINT)

    def _end(self, how: signal.Signals) -> None:
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(timeout=60)
            self._server = None

    def _as_user(self) -> dict[str, Any]:
        user = self._user
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL. Skip, or fail where TESTS_REQUIRE_POSTGRES is set, where there is none."""
    programs = _programs()
    if programs is None:
        reason = "needs PostgreSQL's server: apt-get install postgresql"
        if os.environ.get("TESTS_REQUIRE_POSTGRES"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="attune-pg-"))
    server = PostgresServer(programs, folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    """Return the folder of the newest `initdb` and `postgres`: Debian keeps them off the PATH."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))
    if on_path := shutil.which("postgres"):
        places.insert(0, Path(on_path).resolve().parent)
    return next((place for place in places if {"initdb", "postgres"} <= set(os.listdir(place))), None)


def _unprivileged() -> pwd.struct_passwd:
    with suppress(KeyError):
        return pwd.getpwnam("postgres")
    return pwd.getpwnam("nobody")
