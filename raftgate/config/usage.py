"""What `--help`, `--version` and a mistake in the flags print."""

import platform
import sys

from raftgate import __version__
from raftgate.config.flags import TABLE, Flag
from raftgate.version import SERVER_VERSION

USAGE = """\
Usage:

  raftgate [flags]
    Start a member.

  raftgate --version
    Show the version.

  raftgate -h | --help
    Show all flags.

  raftgate --config-file
    Path to the configuration file. If one is given, other flags and environment variables are ignored.
"""


def help_text() -> str:
    """The usage and every flag with its default."""
    return "\n".join([USAGE, *(f"{title}:\n{''.join(map(_row, flags))}" for title, flags in TABLE.items())])


def version_text() -> str:
    """The version block; its first line is etcd's, since scripts read it."""
    python = f"Python Version: {platform.python_version()}"
    machine = f"Python OS/Arch: {sys.platform}/{platform.machine()}"
    return f"etcd Version: {SERVER_VERSION}\nraftgate Version: {__version__}\n{python}\n{machine}\n"


def _row(flag: Flag) -> str:
    return f"  --{flag.name} '{flag.default}'\n    {flag.help}\n"
