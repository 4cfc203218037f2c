"""The configuration of a member: flags, `ETCD_*` variables or a file, with etcd's rules and words.

`load(argv, environ)` gives a Config or raises. The caller writes what ConfigError and Finished carry, and logs
`Config.notes` once logging is set up. THE TABLE of flags is in `flags.py`.
"""

from raftgate.config.cluster import Resolve, Unresolved, check_members, compare, parse_members, resolved
from raftgate.config.errors import ConfigError, Finished, Note, Refusal, fatal
from raftgate.config.loader import load
from raftgate.config.model import Config, LogRotation
from raftgate.config.urls import Url, parse_url

__all__ = [
    "Config",
    "ConfigError",
    "Finished",
    "LogRotation",
    "Note",
    "Refusal",
    "Resolve",
    "Unresolved",
    "Url",
    "check_members",
    "compare",
    "fatal",
    "load",
    "parse_members",
    "parse_url",
    "resolved",
]
