import os
import pwd
import subprocess
from pathlib import Path

import pytest

from mappings.errors import NodeError
from plugin_api.commands.node.user import NodeUser, check_reach, node_user
from tests.fakes.node_home import as_root, open_folder

__all__ = ["open_folder"]


def test_an_ordinary_caller_runs_the_node_as_themselves(tmp_path: Path) -> None:
    user = node_user(tmp_path, caller=1000)
    assert user == NodeUser()
    assert user.spawn_options() == {}
    user.take(tmp_path / "data")
    assert (tmp_path / "data").stat().st_uid == os.geteuid()
    check_reach(user, tmp_path)


@as_root
def test_root_hands_the_node_to_nobody(open_folder: Path) -> None:
    user = node_user(open_folder, caller=0)
    nobody = pwd.getpwnam("nobody")
    assert (user.name, user.uid, user.gid) == ("nobody", nobody.pw_uid, nobody.pw_gid)
    user.take(open_folder / "data")
    made = (open_folder / "data").stat()
    assert (made.st_uid, made.st_mode & 0o777) == (nobody.pw_uid, 0o700)
    ran = subprocess.run(["id", "-u"], capture_output=True, text=True, check=True, **user.spawn_options())
    assert int(ran.stdout) == nobody.pw_uid


@as_root
def test_root_runs_the_node_of_an_ordinary_users_home_as_that_user(open_folder: Path) -> None:
    os.chown(open_folder, 12345, 12345)
    assert node_user(open_folder, caller=0) == NodeUser("user 12345", 12345, 12345)


@as_root
def test_root_does_not_follow_links_that_the_nodes_user_planted(open_folder: Path) -> None:
    (open_folder / "roots").mkdir()
    (open_folder / "data").symlink_to(open_folder / "roots")
    node_user(open_folder, caller=0).take(open_folder / "data")
    assert (open_folder / "roots").stat().st_uid == 0


@as_root
def test_a_home_that_the_nodes_user_can_not_enter_is_explained(open_folder: Path) -> None:
    home = open_folder / "closed" / "home"
    home.mkdir(parents=True)
    (open_folder / "closed").chmod(0o700)
    with pytest.raises(NodeError, match=r"nobody, who runs it instead, can't enter .*/closed/home"):
        check_reach(node_user(home, caller=0), home)
