"""The user that the node runs as: the caller, or another user for root, as which OpenSearch does not run."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mappings.errors import NodeError

_NOBODY = 65534
"""The user number of `nobody` where the machine has no such name."""


@dataclass(frozen=True)
class NodeUser:
    """The account that the node runs as; `uid` is None where it is the caller."""

    name: str = ""
    uid: int | None = None
    gid: int | None = None

    def spawn_options(self) -> dict[str, Any]:
        """Arguments for `subprocess` that make a child run as this user."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def may(self, access: str, path: Path) -> bool:
        """Tell whether this user has `access` ("r", "w" or "x") to the path, its parents included."""
        done = subprocess.run(["test", f"-{access}", str(path)], cwd="/", check=False, **self.spawn_options())
        return done.returncode == 0

    def take(self, folder: Path) -> None:
        """Create the folder where it is missing, and make it private to this user."""
        folder.mkdir(mode=0o700, exist_ok=True)
        if self.uid is not None:
            # The user may have put a link there, which root must not follow.
            os.chown(folder, self.uid, self.gid or 0, follow_symlinks=False)


def node_user(home: Path, caller: int) -> NodeUser:
    """Return the node's user for the caller's user number: for root, the home's owner, else `nobody`.

    A home that an ordinary user created therefore stays usable for them after root has started the node.
    """
    if caller != 0:
        return NodeUser()
    owner = home.stat().st_uid
    try:
        account = pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")
    except KeyError:
        return NodeUser(f"user {owner or _NOBODY}", owner or _NOBODY, owner or _NOBODY)
    return NodeUser(account.pw_name, account.pw_uid, account.pw_gid)


def check_reach(user: NodeUser, home: Path) -> None:
    """Raise NodeError when the node's user can't enter `home`."""
    if not user.may("x", home):
        raise NodeError(
            f"OpenSearch does not run as root, and {user.name}, who runs it instead, can't enter {home}: "
            "set ATTUNE_HOME to a folder that every user may enter, such as /var/lib/attune"
        )
