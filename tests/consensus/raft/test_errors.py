import pytest

from consensus.raft import errors


@pytest.mark.parametrize(
    "kind", [errors.NotLeader, errors.TransferUnderWay, errors.TooMuchUncommitted, errors.ConfChangePending]
)
def test_a_dropped_proposal_is_caught_as_one(kind: type[errors.RaftError]) -> None:
    assert issubclass(kind, errors.ProposalDropped)


@pytest.mark.parametrize(
    "kind",
    [
        errors.Compacted,
        errors.Unavailable,
        errors.ConfChangeRefused,
        errors.ConfChangeUnreadable,
        errors.LogCorrupt,
        errors.OutOfTurn,
    ],
)
def test_other_errors_are_no_dropped_proposals(kind: type[errors.RaftError]) -> None:
    assert issubclass(kind, errors.RaftError)
    assert not issubclass(kind, errors.ProposalDropped)
