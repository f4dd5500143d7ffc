"""Starts one server so that it dies with whoever started it. Run as a script, before anything else.

Changes to the server's user, asks the kernel to signal the process when its parent ends, and
becomes the server. The order matters: changing the user forgets the wish. It imports the
standard library alone, because it runs without site-packages.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Become the server: PARENT UID GID SIGNAL COMMAND…, where UID -1 keeps the user."""
    parent, uid, gid, signal_number = (int(text) for text in arguments[:4])
    command = arguments[4:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit("the process that started this server has ended already")
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
