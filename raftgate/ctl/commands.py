"""The table of verbs with their flags, and how words find their verb (spf13/cobra).

A verb's code is named by a string and loaded when it runs, so that this table costs no import.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from raftgate.ctl.errors import UsageError
from raftgate.ctl.flags import Flag, Kind

PROGRAM = "raftgatectl"

_SECOND = 10**9
_MAX_DISTANCE = 2  # cobra's SuggestionsMinimumDistance


@dataclass(frozen=True, slots=True)
class Command:
    """One verb, or a group of verbs when `children` is not empty."""

    name: str
    short: str
    usage: str = ""
    """What follows the verb's name in the usage line."""
    long: str = ""
    flags: tuple[Flag, ...] = ()
    run: str = ""
    """`module:function` that takes an Invocation; empty for a group, which prints its usage."""
    children: tuple["Command", ...] = ()
    inherited: tuple[Flag, ...] = field(default=())
    """Flags that its children take, too."""


def _text(name: str, help_: str, default: str = "") -> Flag:
    return Flag(name, Kind.STRING, default, help_)


def _switch(name: str, help_: str, short: str = "") -> Flag:
    return Flag(name, Kind.BOOL, False, help_, short)


def _number(name: str, help_: str) -> Flag:
    return Flag(name, Kind.INT, 0, help_)


def _time(name: str, seconds: int, help_: str) -> Flag:
    return Flag(name, Kind.DURATION, seconds * _SECOND, help_)


GLOBAL_FLAGS = (
    _text("cacert", "verify certificates of TLS-enabled secure servers using this CA bundle"),
    _text("cert", "identify secure client using this TLS certificate file"),
    _time("command-timeout", 5, "timeout for short running command (excluding dial timeout)"),
    _switch("debug", "enable client-side debug logging"),
    _time("dial-timeout", 2, "dial timeout for client connections"),
    Flag("discovery-srv", Kind.STRING, "", "domain name to query for SRV records describing cluster endpoints", "d"),
    _text("discovery-srv-name", "service name to query when using DNS discovery"),
    Flag("endpoints", Kind.STRINGS, ("127.0.0.1:2379",), "client endpoints, tried in turn"),
    _switch("hex", "print byte strings as hex encoded strings"),
    Flag("insecure-discovery", Kind.BOOL, True, "accept insecure SRV records describing cluster endpoints"),
    _switch("insecure-skip-tls-verify", "skip server certificate verification (CAUTION: for testing purposes only)"),
    Flag("insecure-transport", Kind.BOOL, True, "allow connections without transport security"),
    _time("keepalive-time", 2, "keepalive time for client connections (accepted, without effect)"),
    _time("keepalive-timeout", 6, "keepalive timeout for client connections (accepted, without effect)"),
    _text("key", "identify secure client using this TLS key file"),
    _number("max-recv-bytes", "limit of an answer's size in bytes (0: none)"),
    _number("max-request-bytes", "limit of a request's keys and values in bytes (0: the server's)"),
    _text("password", "password for authentication (if this option is used, --user option shouldn't include password)"),
    _text("user", "username[:password] for authentication (prompt if password is not supplied)"),
    Flag("write-out", Kind.STRING, "simple", "set the output format (fields, json, protobuf, simple, table)", "w"),
)

GET = Command(
    "get",
    "Gets the key or a range of keys",
    "[options] <key> [range_end]",
    flags=(
        _text("consistency", "Linearizable(l) or Serializable(s)", "l"),
        _switch("count-only", "Get only the count"),
        _switch("from-key", "Get keys that are greater than or equal to the given key using byte compare"),
        _switch("keys-only", "Get only the keys"),
        _number("limit", "Maximum number of results"),
        _number("max-create-rev", "Maximum create revision"),
        _number("max-mod-rev", "Maximum modification revision"),
        _number("min-create-rev", "Minimum create revision"),
        _number("min-mod-rev", "Minimum modification revision"),
        _text("order", "Order of results; ASCEND or DESCEND (ASCEND by default)"),
        _switch("prefix", "Get keys with matching prefix"),
        _switch("print-value-only", 'Only write values when using the "simple" output format'),
        _number("rev", "Specify the kv revision"),
        _text("sort-by", "Sort target; CREATE, KEY, MODIFY, VALUE, or VERSION"),
    ),
    run="raftgate.ctl.kv:get",
)

PUT = Command(
    "put",
    "Puts the given key into the store",
    "[options] <key> <value> (<value> can also be given from stdin)",
    long="""A value that is not given as an argument is read from standard input, unless --ignore-value is set.
Words that begin with '-' are flags; those after '--' are not:

$ put <key> -- <value>
$ put -- <key> <value>
$ cat file | put <key>""",
    flags=(
        _switch("ignore-lease", "updates the key using its current lease"),
        _switch("ignore-value", "updates the key using its current value"),
        _text("lease", "lease ID (in hexadecimal) to attach to the key", "0"),
        _switch("prev-kv", "return the previous key-value pair before modification"),
    ),
    run="raftgate.ctl.kv:put",
)

DEL = Command(
    "del",
    "Removes the specified key or range of keys [key, range_end)",
    "[options] <key> [range_end]",
    flags=(
        _switch("from-key", "delete keys that are greater than or equal to the given key using byte compare"),
        _switch("prefix", "delete keys with matching prefix"),
        _switch("prev-kv", "return deleted key-value pairs"),
        _switch("range", "delete range of keys without delay"),
    ),
    run="raftgate.ctl.kv:delete",
)

_TXN = Command(
    "txn",
    "Txn processes all the requests in one transaction",
    "[options]",
    long="""Reads three blocks from standard input, each ended by an empty line:
conditions, requests for the case that all of them hold, requests for the other case.

mod("key1") > "0"

put key1 "overwrote-key1"

put key1 "created-key1"
put key2 "some extra key"
""",
    flags=(_switch("interactive", "Input transaction in interactive mode", "i"),),
    run="raftgate.ctl.txn:run",
)

_ALARM = Command(
    "alarm",
    "Alarm related commands",
    "<subcommand>",
    children=(
        Command("disarm", "Disarms all alarms", run="raftgate.ctl.alarm:disarm"),
        Command("list", "Lists all alarms", run="raftgate.ctl.alarm:list_"),
    ),
)

_COMPACTION = Command(
    "compaction",
    "Compacts the event history in etcd",
    "[options] <revision>",
    flags=(_switch("physical", "'true' to wait for compaction to physically remove all old revisions"),),
    run="raftgate.ctl.compaction:run",
)

_CLUSTER = _switch("cluster", "use all endpoints from the cluster member list")

_DEFRAG = Command(
    "defrag",
    "Defragments the storage of the etcd members with given endpoints",
    flags=(_CLUSTER,),
    run="raftgate.ctl.defrag:run",
)

_ENDPOINT = Command(
    "endpoint",
    "Endpoint related commands",
    "<subcommand>",
    inherited=(_CLUSTER,),
    children=(
        Command(
            "hashkv",
            "Prints the KV history hash for each endpoint in --endpoints",
            flags=(_number("rev", "maximum revision to hash (default: latest revision)"),),
            run="raftgate.ctl.hashkv:run",
        ),
        Command(
            "health",
            "Checks the healthiness of endpoints specified in `--endpoints` flag",
            run="raftgate.ctl.health:run",
        ),
        Command(
            "status",
            "Prints out the status of endpoints specified in `--endpoints` flag",
            long="""With --write-out simple a line for each endpoint:
endpoint, ID, version, storage version, db size, in use, percentage not in use, quota, is leader, is learner,
raft term, raft index, raft applied index, errors, downgrade target version, downgrade enabled""",
            run="raftgate.ctl.status:run",
        ),
    ),
)

_KEYS = _switch("keys", "Get keys attached to this lease")
_ONCE = _switch("once", "Resets the keep-alive time to its original value and exits immediately")

_LEASE = Command(
    "lease",
    "Lease related commands",
    "<subcommand>",
    children=(
        Command("grant", "Creates leases", "<ttl>", run="raftgate.ctl.lease:grant"),
        Command(
            "keep-alive",
            "Keeps leases alive (renew)",
            "[options] <leaseID>",
            flags=(_ONCE,),
            run="raftgate.ctl.lease:keep_alive",
        ),
        Command("list", "List all active leases", run="raftgate.ctl.lease:list_"),
        Command("revoke", "Revokes leases", "<leaseID>", run="raftgate.ctl.lease:revoke"),
        Command(
            "timetolive",
            "Get lease information",
            "<leaseID> [options]",
            flags=(_KEYS,),
            run="raftgate.ctl.lease:time_to_live",
        ),
    ),
)

_LOCK = Command(
    "lock",
    "Acquires a named lock",
    "<lockname> [exec-command arg1 arg2 ...]",
    long="""The lock is held until SIGINT or SIGTERM comes, or as long as the command runs, which finds key and revision
in ETCD_LOCK_KEY and ETCD_LOCK_REV. The command's exit code is passed on.""",
    flags=(Flag("ttl", Kind.INT, 10, "timeout for session"),),
    run="raftgate.ctl.lock:run",
)

_ELECT = Command(
    "elect",
    "Observes and participates in leader election",
    "<election-name> [proposal]",
    flags=(_switch("listen", "observation mode", "l"),),
    run="raftgate.ctl.elect:run",
)

_MEMBER = Command(
    "member",
    "Membership related commands",
    "<subcommand>",
    children=(
        Command(
            "add",
            "Adds a member into the cluster",
            "<memberName> [options]",
            long="""The member counts from now on, and is to be started next. With --write-out simple the variables are
printed with which it starts.""",
            flags=(
                _switch("learner", "indicates if the new member is raft learner"),
                _text("peer-urls", "comma separated peer URLs for the new member."),
            ),
            run="raftgate.ctl.membership:add",
        ),
        Command(
            "list",
            "Lists all members in the cluster",
            long="""With --write-out simple a line for each member:
ID, status, name, peer addrs, client addrs, is learner""",
            flags=(_text("consistency", "Linearizable(l) or Serializable(s)", "l"),),
            run="raftgate.ctl.member:list_",
        ),
        Command(
            "promote",
            "Promotes a non-voting member in the cluster",
            "<memberID>",
            long="Promotes a non-voting learner member to a voting one in the cluster.",
            run="raftgate.ctl.membership:promote",
        ),
        Command(
            "remove",
            "Removes a member from the cluster",
            "<memberID>",
            long="For ever: it stops, and does not start again on its data.",
            run="raftgate.ctl.membership:remove",
        ),
        Command(
            "update",
            "Updates a member in the cluster",
            "<memberID> [options]",
            flags=(_text("peer-urls", "comma separated peer URLs for the updated member."),),
            run="raftgate.ctl.membership:update",
        ),
    ),
)

_MOVE_LEADER = Command(
    "move-leader",
    "Transfers leadership to another etcd cluster member",
    "<transferee-member-id>",
    long="The leader must be one of the endpoints.",
    run="raftgate.ctl.move_leader:run",
)

WATCH = Command(
    "watch",
    "Watches events stream on keys or prefixes",
    "[options] [key or prefix] [range_end] [--] [exec-command arg1 arg2 ...]",
    long="""A command behind -- is run for each event, with ETCD_WATCH_REVISION, ETCD_WATCH_EVENT_TYPE, ETCD_WATCH_KEY
and ETCD_WATCH_VALUE in its environment, the last three in quotes. Key and range end may come from ETCDCTL_WATCH_KEY
and ETCDCTL_WATCH_RANGE_END. A watch whose connection breaks goes on behind the last event.

With -i each line of standard input is a watch, or the word 'progress'.""",
    flags=(
        _switch("interactive", "Interactive mode", "i"),
        _switch("prefix", "Watch on a prefix if prefix is set"),
        _switch("prev-kv", "get the previous key-value pair before the event happens"),
        _switch("progress-notify", "get periodic watch progress notification from server"),
        _number("rev", "Revision to start watching"),
    ),
    run="raftgate.ctl.watch:run",
)

ROOT = Command(
    PROGRAM,
    "A command line client for raftgate and etcd's JSON API.",
    inherited=GLOBAL_FLAGS,
    children=(
        _ALARM,
        _COMPACTION,
        _DEFRAG,
        DEL,
        _ELECT,
        _ENDPOINT,
        GET,
        Command("help", "Help about any command", "[command]", run="raftgate.ctl.usage:run"),
        _LEASE,
        _LOCK,
        _MEMBER,
        _MOVE_LEADER,
        PUT,
        _TXN,
        Command("version", f"Prints the version of {PROGRAM}", run="raftgate.ctl.version:run"),
        WATCH,
    ),
)


@dataclass(frozen=True, slots=True)
class Found:
    """A verb on its place in the tree."""

    path: tuple[Command, ...]
    """From the root to the verb."""
    words: tuple[str, ...]
    """The command line without the verb's names."""

    @property
    def command(self) -> Command:
        """The verb itself."""
        return self.path[-1]

    @property
    def inherited(self) -> tuple[Flag, ...]:
        """Flags that come from the groups above the verb."""
        return tuple(flag for group in self.path[:-1] for flag in group.inherited)

    @property
    def own(self) -> tuple[Flag, ...]:
        """Flags of the verb, or of the group where no verb follows."""
        help_flag = _switch("help", f"help for {self.command.name}", "h")
        return (*self.command.flags, *self.command.inherited, help_flag)


def find(root: Command, words: Sequence[str]) -> Found:
    """Follows `words` down the tree; a verb may be shortened to a prefix that only it has.

    Raises: UsageError for an unknown verb.
    """
    path = [root]
    rest = list(words)
    while True:
        flags = [flag for group in path for flag in group.inherited]
        at = _next_argument(rest, flags)
        if at is None or not path[-1].children:
            return Found(tuple(path), tuple(rest))
        child = _child(path[-1], rest[at])
        if child is None:
            if len(path) > 1:  # cobra refuses unknown words only below the root
                return Found(tuple(path), tuple(rest))
            raise UsageError(*_unknown(root, rest[at]))
        del rest[at]
        path.append(child)


def _next_argument(words: Sequence[str], flags: Sequence[Flag]) -> int | None:
    """The place of the first word that is neither flag nor a flag's value (cobra's stripFlags)."""
    switches = {flag.name for flag in flags if flag.kind is Kind.BOOL} | {"help"}
    short_switches = {flag.short for flag in flags if flag.kind is Kind.BOOL} | {"h"}
    at = 0
    while at < len(words):
        word = words[at]
        if word == "--":
            return None
        if word.startswith("--"):
            takes_next = "=" not in word and word[2:] not in switches
        elif word.startswith("-"):
            takes_next = "=" not in word and len(word) == 2 and word[1] not in short_switches
        elif word:
            return at
        else:
            takes_next = False
        at += 2 if takes_next else 1
    return None


def _child(group: Command, word: str) -> Command | None:
    for child in group.children:
        if child.name == word:
            return child
    candidates = [child for child in group.children if child.name.startswith(word)]
    return candidates[0] if len(candidates) == 1 else None


def _unknown(root: Command, word: str) -> tuple[str, str]:
    text = f'unknown command "{word}" for "{root.name}"'
    names = [child.name for child in root.children]
    close = [name for name in names if _distance(word.lower(), name) <= _MAX_DISTANCE or name.startswith(word.lower())]
    if close:
        text += "\n\nDid you mean this?\n" + "".join(f"\t{name}\n" for name in close)
    return text, f"Run '{root.name} --help' for usage."


def _distance(left: str, right: str) -> int:
    """The Levenshtein distance."""
    row = list(range(len(right) + 1))
    for at, char in enumerate(left, start=1):
        above, row = row, [at]
        for to, other in enumerate(right, start=1):
            row.append(min(above[to] + 1, row[-1] + 1, above[to - 1] + (char != other)))
    return row[-1]
