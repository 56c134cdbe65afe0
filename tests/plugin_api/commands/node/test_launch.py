from dataclasses import replace
from pathlib import Path

from plugin_api.commands.node.java import Java
from plugin_api.commands.node.launch import jvm_options, last_log_lines

JAVA = Java(Path("/java"), "25.0.2", complete=True)
STOCK = """\
## JVM configuration
-Xms1g
-Xmx1g

11-:-XX:+UseG1GC
-Djava.io.tmpdir=${OPENSEARCH_TMPDIR}
-XX:+HeapDumpOnOutOfMemoryError
-XX:HeapDumpPath=data
-XX:ErrorFile=logs/hs_err_pid%p.log
9-:-Xlog:gc*,gc+age=trace,safepoint:file=logs/gc.log:utctime,pid,tags:filecount=32,filesize=64m
20-:--add-modules=jdk.incubator.vector
21-:-javaagent:agent/opensearch-agent.jar
"""


def test_options_get_the_heap_and_lose_the_files() -> None:
    assert jvm_options(STOCK, "512m", JAVA).splitlines() == [
        "-Xms512m",
        "-Xmx512m",
        "11-:-XX:+UseG1GC",
        "20-:--add-modules=jdk.incubator.vector",
        "21-:-javaagent:agent/opensearch-agent.jar",
    ]


def test_a_trimmed_java_is_not_asked_for_the_module_that_it_lacks() -> None:
    assert "incubator" not in jvm_options(STOCK, "1g", replace(JAVA, complete=False))


def test_the_root_cause_is_told_before_all_else() -> None:
    log = (
        "WARNING: noise\nuncaught exception in thread [main]\n"
        "BindTransportException[Failed to bind]\n"
        "Likely root cause: java.net.BindException: Address already in use\n\tat java.base/sun.nio\n"
        "For complete error details, refer to the log at /x/opensearch.log\n"
    )
    assert last_log_lines(log) == "Likely root cause: java.net.BindException: Address already in use"


def test_otherwise_the_last_lines_are_told_in_one() -> None:
    assert last_log_lines("a\nb\n\nc  c\nd\n") == "b | c c | d"
    assert last_log_lines("") == "its log is empty"
