"""The verb `version`."""

from raftgate import __version__
from raftgate.ctl.commands import PROGRAM
from raftgate.ctl.invocation import Invocation

API_VERSION = "3.6"


def run(invocation: Invocation) -> None:
    """Prints the program's version and that of etcd's API which it speaks."""
    invocation.console.write(f"{PROGRAM} version: {__version__}\nAPI version: {API_VERSION}\n")
