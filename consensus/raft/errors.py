"""What the core raises. None of these reaches a client as it is: consensus/server.py translates.

`ProposalDropped` and its kinds mean "not in the log, and never will be". `LogCorrupt` means that going on could lose
or fork history: the member must stop.
"""


class RaftError(Exception):
    """The base of all the core's errors."""


class Compacted(RaftError):
    """An index lies below the first one of the log: those entries were cut off behind a snapshot."""


class Unavailable(RaftError):
    """An index lies above the last one of the log."""


class ProposalDropped(RaftError):
    """A proposal was not taken; it is not in the log and never will be."""


class NotLeader(ProposalDropped):
    """The member does not lead and knows nobody who does."""


class TransferUnderWay(ProposalDropped):
    """The leader hands over and takes no proposals meanwhile (Raft thesis 3.10)."""


class TooMuchUncommitted(ProposalDropped):
    """The leader holds as many bytes of proposals not yet applied as it may."""


class ConfChangePending(ProposalDropped):
    """Another membership change is in the log and not yet applied, or may be (Raft thesis 4.1: one at a time)."""


class ConfChangeRefused(RaftError):
    """A membership change that can never be applied: it would leave no voter, or names no member."""


class ConfChangeUnreadable(RaftError):
    """A membership change in a format that this version does not know."""


class LogCorrupt(RaftError):
    """The log contradicts what is committed, applied or promised: entries were lost or altered."""


class OutOfTurn(RaftError):
    """The driver asked for a Ready while one is outstanding, or advanced another one than that."""
