"""What is compared of a command's outcome: exit code, stdout and complaints without what differs between two runs."""

import re
from dataclasses import dataclass, field

# What etcdctl 3.6 prints and 3.5 does not: taken out of the outputs of both tools, whichever version the peer has.
NEWER = (
    r"\. took TIME\.?",  # defrag; where it failed the reason follows
    r'(?m)^"(?:StorageVersion|DBSizeInUse|DBSizeQuota|DowngradeTargetVersion|DowngradeEnabled|HashRevision)" : .*\n',
    r',"(?:storageVersion":"[^"]*"|(?:dbSizeQuota|hash_revision)":\d+|downgradeInfo":\{[^}]*\})',
)
NEWER_TITLES = frozenset(
    {
        "STORAGE VERSION", "IN USE", "PERCENTAGE NOT IN USE", "QUOTA", "DOWNGRADE TARGET VERSION", "DOWNGRADE ENABLED",
        "HASH REVISION",
    }
)  # fmt: skip

MASKS = (
    (r"\d+(?:\.\d+)?(?:ns|µs|ms|s)\b", "TIME"),
    (r"127\.0\.0\.1:\d{2,}", "ENDPOINT"),
    (r'(ClusterID|MemberID|cluster_id|member_id|RaftTerm|raft_term)("\s?:\s?)\d+', r"\1\2N"),
    (r'"(cluster_id|member_id)":"[0-9a-f]+"', r'"\1":"N"'),
    (r'"ID"(\s?:\s?)("?)[0-9a-f]+', r'"ID"\1\2N'),
    (r"(?m)^[0-9a-f]+, (?=started, )", "ID, "),
    (r"transferred from [0-9a-f]+ to [0-9a-f]+", "transferred from ID to ID"),
    ('"clientURLS"', '"clientURLs"'),  # 3.5 with --hex
    (r'"(DBSize|Leader|RaftIndex|RaftAppliedIndex)" : \d+', r'"\1" : N'),
    (r'"(dbSize|dbSizeInUse|leader|raftIndex|raftTerm|raftAppliedIndex)":\d+', r'"\1":N'),
    (r"version: \S+", "version: V"),
    (r"(?s)\ANAME:.*", "USAGE"),
)
MASKED_TITLES = frozenset({"ID", "DB SIZE", "RAFT TERM", "RAFT INDEX", "RAFT APPLIED INDEX"})

# What two kinds of servers never have in common: versions, and hashes that each computes in its own way.
OF_THE_SERVER = (
    (r'((?:"[vV]ersion"\s?:\s?|VERSION=|ENDPOINT, ID, )"?)\d+\.\d+\.\d+', r"\1V"),
    (r'("hash":|"Hash" : |HASH=|ENDPOINT, )\d+', r"\1HASH"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a user or a script sees of a command."""

    code: int
    out: str
    error: str
    complaints: tuple[str, ...] = ()
    """What stderr says of single endpoints."""
    is_served: bool = field(default=True, compare=False)
    """False when the server answered that it does not implement the call."""

    def without_the_servers_own(self) -> "Outcome":
        out = self.out
        for pattern, replacement in OF_THE_SERVER:
            out = re.sub(pattern, replacement, out)
        return Outcome(self.code, out, self.error, self.complaints, self.is_served)


def outcome(code: int, out: bytes, err: bytes, *, is_raised: bool = True) -> Outcome:
    lines = err.decode(errors="replace").splitlines()
    errors = [line for line in lines if line.startswith("Error: ")]
    complaints = [line for line in lines if line.startswith("Failed to ") or " is unhealthy: " in line]
    return Outcome(
        code=code,
        out=mask(out.decode(errors="replace")),
        error=mask(errors[-1]) if errors else "",
        complaints=tuple(sorted(map(mask, complaints))),
        is_served=is_raised and not any("code = Unimplemented" in line for line in lines),
    )


def mask(text: str) -> str:
    """Takes out what differs between two runs or versions or is the tool's own name."""
    for pattern, replacement in MASKS:
        text = re.sub(pattern, replacement, text)
    if text.startswith("+-"):
        return "\n".join(" ".join(f"{title}={cell}" for title, cell in row) for row in cells(text))
    text = "".join(map(mask_status, text.splitlines(keepends=True)))
    for pattern in NEWER:
        text = re.sub(pattern, "", text)
    return text.replace("raftgatectl", "etcdctl")


def mask_status(line: str) -> str:
    """The row of `endpoint status`, or of `endpoint hashkv`, without what a later run or a newer tool shows."""
    row = line.rstrip("\n").split(", ")
    if not row[0].endswith("ENDPOINT"):
        return line
    if len(row) == 3 and row[1].isdigit():  # a hash and, from 3.6 on, its revision
        return f"{', '.join(row[:2])}\n"
    if len(row) >= 16:  # 3.6
        row = [*row[:3], row[4], *row[8:-2]]
    if len(row) >= 10:
        row = [row[0], "ID", row[2], "SIZE", *row[4:6], "TERM", "INDEX", "INDEX", *row[9:]]
    return f"{', '.join(row)}\n"


def cells(text: str) -> list[list[tuple[str, str]]]:
    """The rows of a table as titles and cells; not its borders, whose width depends on what is masked."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    titles = [title.strip() for title in rows[0]]
    return [
        [
            (title, title if title in MASKED_TITLES and cell.strip() else cell.strip())
            for title, cell in zip(titles, row, strict=True)
            if title not in NEWER_TITLES
        ]
        for row in rows
    ]
