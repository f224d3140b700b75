"""A user of its own for each attempt, by ids that the user of llmbench may give to namespaces."""

import json
import os
import pwd
import secrets
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, field
from fcntl import F_DUPFD_CLOEXEC, fcntl
from pathlib import Path
from typing import Self

import anyio

from llmbench.errors import SandboxError

INSIDE = 10001
"""The id of the tests' user inside every sandbox."""

ROOT_IDS = range(2**30, 2**30 + 2**20)
"""The ids that root gives: far from those of people, containers and services."""

SUBORDINATE = (Path("/etc/subuid"), Path("/etc/subgid"))
"""Files with the ids that an ordinary user may give, as `name:first:number` (subuid(5))."""

PROGRAMS = ("newuidmap", "newgidmap")
"""Programs that give an ordinary user's ids to a namespace."""

LOWEST_DESCRIPTOR = 20
"""Above the descriptors that a shell opens for itself."""


@dataclass
class Users:
    """The user and group ids for attempts; one that is in use is given to no other attempt."""

    uids: range
    gids: range
    _used: set[int] = field(default_factory=set)

    @classmethod
    def find(cls) -> Self | None:
        """Return the ids that this user may give; None if it may give none."""
        if shutil.which("setpriv") is None:
            return None
        if os.geteuid() == 0:
            return cls(ROOT_IDS, ROOT_IDS)
        if not all(map(shutil.which, PROGRAMS)):
            return None
        uids, gids = map(_subordinate, SUBORDINATE)
        return cls(uids, gids) if uids and gids else None

    def entry(self, stack: ExitStack) -> "Entry | None":
        """Return the entry of one attempt, closed with `stack`; None if every id is in use."""
        size = min(len(self.uids), len(self.gids))
        if len(self._used) >= size:
            return None
        place = secrets.randbelow(size)
        while place in self._used:
            place = (place + 1) % size
        self._used.add(place)
        stack.callback(self._used.discard, place)
        entry = Entry(self.uids[place], self.gids[place])
        stack.callback(entry.close)
        return entry


class Entry:
    """The way of one attempt into its namespace: bwrap waits there until its users are known."""

    def __init__(self, uid: int, gid: int) -> None:
        """Give the attempt these ids of the machine."""
        self.ids = (uid, gid)
        # bwrap writes its child's process id to `info`, and waits for a byte on `block`.
        self._info, info = os.pipe()
        block, self._unblock = os.pipe()
        self.inherited = tuple(_raised(each) for each in (info, block))
        self._open = {self._info, self._unblock, *self.inherited}

    def argv(self) -> list[str]:
        """Return the arguments for bwrap: the launcher is the root of its namespace.

        Of root's rights it has those to become the tests' user and to kill them.
        """
        info, block = map(str, self.inherited)
        return [
            *("--info-fd", info, "--userns-block-fd", block, "--uid", "0", "--gid", "0"),
            *("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_KILL"),
        ]

    async def admit(self) -> None:
        """Give the ids to the namespace of a bwrap that has just started, and let it go on.

        Raises:
            SandboxError: bwrap ended, or the ids were refused.
        """
        for descriptor in self.inherited:
            self._close(descriptor)
        written = b""
        while not written.rstrip().endswith(b"}"):
            await anyio.wait_readable(self._info)
            part = os.read(self._info, 4096)
            if not part:
                return  # it ended early: its output says why
            written += part
        child = int(json.loads(written)["child-pid"])
        try:
            if os.geteuid() == 0:
                self._write_maps(child)
            else:
                await self._request_maps(child)
            os.write(self._unblock, b"1")
        except OSError as error:
            raise SandboxError(f"the tests got no user of their own: {error}") from error
        self.close()

    def close(self) -> None:
        """Close what is open of the two pipes."""
        for descriptor in tuple(self._open):
            self._close(descriptor)

    def _close(self, descriptor: int) -> None:
        if descriptor in self._open:
            self._open.remove(descriptor)
            os.close(descriptor)

    def _write_maps(self, child: int) -> None:
        for name, outside in zip(("uid_map", "gid_map"), self.ids, strict=True):
            Path(f"/proc/{child}/{name}").write_text(f"0 0 1\n{INSIDE} {outside} 1\n")

    async def _request_maps(self, child: int) -> None:
        own = (os.geteuid(), os.getegid())
        for program, mine, outside in zip(PROGRAMS, own, self.ids, strict=True):
            ids = map(str, (child, 0, mine, 1, INSIDE, outside, 1))
            done = await anyio.run_process([program, *ids], check=False)
            if done.returncode:
                reason = done.stderr.decode("utf-8", "replace").strip()
                raise SandboxError(f"the tests got no user of their own: {program}: {reason}")


def _raised(descriptor: int) -> int:
    """Move a descriptor above those that a shell uses."""
    raised = fcntl(descriptor, F_DUPFD_CLOEXEC, LOWEST_DESCRIPTOR)
    os.close(descriptor)
    return raised


def _subordinate(path: Path) -> range:
    """The first ids that a file of subordinate ids gives to this user."""
    uid = os.geteuid()
    try:
        names = {str(uid), pwd.getpwuid(uid).pw_name}
    except KeyError:
        names = {str(uid)}
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return range(0)
    for line in lines:
        name, _, ids = line.partition(":")
        first, _, number = ids.partition(":")
        if name in names and first.isdecimal() and number.isdecimal() and int(number):
            return range(int(first), int(first) + int(number))
    return range(0)
