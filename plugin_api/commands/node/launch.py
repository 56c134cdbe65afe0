"""Starts the JVM that OpenSearch runs in, with its options, configuration and command line."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from mappings.errors import NodeError
from plugin_api.commands.node.install import Installation
from plugin_api.commands.node.java import Java
from plugin_api.commands.node.user import NodeUser

_LOG4J = """\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = ${sys:opensearch.logs.base_path}/opensearch.log
appender.file.filePattern = ${sys:opensearch.logs.base_path}/opensearch.%i.log
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}]%node_marker %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 3
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
"""


def node_marker(home: Path) -> str:
    """Return the command-line argument that identifies the node of this home."""
    return f"-Epath.data={home / 'data'}"


def write_node_config(installation: Installation, home: Path, heap: str, java: Java, user: NodeUser) -> None:
    """Write the node's configuration folder anew, for its user to read."""
    config = home / "config"
    if config.exists():
        shutil.rmtree(config)
    config.mkdir(mode=0o755)
    stock = (installation.folder / "config" / "jvm.options").read_text(encoding="utf-8")
    for name, text in {"jvm.options": jvm_options(stock, heap, java), "log4j2.properties": _LOG4J}.items():
        (config / name).write_text(text, encoding="utf-8")
        (config / name).chmod(0o644)
    user.take(config)


def jvm_options(stock: str, heap: str, java: Java) -> str:
    """Return the distribution's JVM options for this heap and Java, without those that name files.

    File names are given on the command line, where spaces in them do no harm.
    """
    dropped = r"-Xm[sx]|.*(java\.io\.tmpdir|HeapDump|ErrorFile|Xlog:gc|Xloggc)"
    if not java.complete:
        dropped += r"|.*jdk\.incubator\.vector"  # the JVM refuses to start with a module that it lacks
    options = [
        line
        for line in stock.splitlines()
        if line and not line.startswith("#") and not re.match(dropped, line)
    ]
    return "\n".join([f"-Xms{heap}", f"-Xmx{heap}", *options, ""])


def spawn_node(
    installation: Installation, home: Path, port: int, java: Java, user: NodeUser
) -> subprocess.Popen[bytes]:
    """Start the JVM as the script `bin/opensearch` does, but without helper JVMs and word splitting.

    Raises NodeError when this Java can't read the options.
    """
    classes = installation.classes if java.complete else f"{installation.classes}:{installation.languages}"
    surroundings: dict[str, Any] = {
        "cwd": installation.folder,
        "env": {"OPENSEARCH_TMPDIR": str(home / "temp"), "LC_ALL": "C.UTF-8"},  # the latter for file names
        "stdin": subprocess.DEVNULL,
        **user.spawn_options(),
    }
    parser = [
        str(java.command),
        "-cp",
        classes,
        "org.opensearch.tools.launchers.JvmOptionsParser",
        str(home / "config"),
    ]
    options = subprocess.run(parser, capture_output=True, text=True, check=False, **surroundings)
    if options.returncode:
        raise NodeError(
            f"Java {java.version} at {java.home} does not run OpenSearch: {last_log_lines(options.stderr)}"
        )
    command = [
        str(java.command),
        *options.stdout.split(),
        f"-Djava.io.tmpdir={home / 'temp'}",
        f"-XX:ErrorFile={home / 'logs' / 'java_error_%p.log'}",
        f"-Dopensearch.path.home={installation.folder}",
        f"-Dopensearch.path.conf={home / 'config'}",
        "-Dopensearch.distribution.type=zip",
        "-Dopensearch.bundled_jdk=false",
        "-cp",
        classes,
        "org.opensearch.bootstrap.OpenSearch",
        node_marker(home),
        f"-Epath.logs={home / 'logs'}",
        f"-Ehttp.port={port}",
        "-Enetwork.host=_local_",
        "-Ediscovery.type=single-node",
        "-Ecluster.name=attune",
        "-Enode.name=attune",
        # On a small disk the defaults turn indexes read-only at 95 % full, however many bytes are free.
        "-Ecluster.routing.allocation.disk.threshold_enabled=false",
    ]
    log = home / "logs" / "start.log"
    log.unlink(missing_ok=True)
    with log.open("xb") as output:
        return subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **surroundings
        )


def last_log_lines(log: str) -> str:
    """Return the last lines of a program's log as one line, without stack traces and warnings."""
    noise = ("\tat ", "\t...", "WARNING", "For complete error details")
    lines = [
        " ".join(line.split()) for line in log.splitlines() if line.strip() and not line.startswith(noise)
    ]
    causes = [line for line in lines if line.startswith("Likely root cause")]
    return " | ".join(causes or lines[-3:])[:500] or "its log is empty"
