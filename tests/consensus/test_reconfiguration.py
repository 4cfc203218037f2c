import pytest

from consensus.peers import NoTransport, Peers
from consensus.reconfiguration import Safety, checked_urls, quorum
from raftgate.api import errors
from raftgate.api.cluster import Member

THERE, FRESH = 6.0, 4.0
"""Seconds for which a member has been there: long enough, and not."""


class Since(NoTransport):
    def __init__(self, spans: dict[int, float]) -> None:
        self._spans = spans

    def active_since(self, member_id: int) -> float | None:
        return 100.0 - self._spans[member_id] if member_id in self._spans else None


def safety(voters: str, spans: dict[int, float]) -> Safety:
    """Member 1 of voters such as `ssu`: started, started, unstarted; and a learner behind them."""
    members = [
        Member(number, name="m" if state == "s" else "", peerURLs=(f"http://{number}:1",))
        for number, state in enumerate(voters, start=1)
    ]
    members.append(Member(99, peerURLs=("http://99:1",), isLearner=True))
    return Safety(1, lambda: members, Peers(Since(spans), 1, lambda: 100.0))


ALL = dict.fromkeys(range(2, 6), THERE)


@pytest.mark.parametrize(
    ("voters", "spans", "is_learner", "error"),
    [
        ("s", {}, False, None),  # the exception: from one to two
        ("s", {}, True, None),
        ("u", {}, False, errors.MemberNotEnoughStarted),
        ("sss", ALL, False, None),
        ("sssu", ALL, False, None),
        ("sssuu", ALL, False, errors.MemberNotEnoughStarted),
        ("ssuu", ALL, False, errors.MemberNotEnoughStarted),
        ("sssuu", ALL, True, None),
        ("sss", {2: THERE}, False, errors.Unhealthy),  # three of four are needed
        ("sss", {2: THERE, 3: FRESH}, False, errors.Unhealthy),
        ("sss", {2: THERE}, True, errors.Unhealthy),
        ("ss", {2: THERE}, False, None),
        ("ss", {}, False, errors.Unhealthy),
        ("sssss", {2: THERE, 3: THERE, 4: THERE}, False, None),
    ],
)
def test_additions(voters: str, spans: dict[int, float], *, is_learner: bool, error: type[Exception] | None) -> None:
    subject = safety(voters, spans)
    if error is None:
        subject.check_add(is_learner=is_learner)
    else:
        with pytest.raises(error):
            subject.check_add(is_learner=is_learner)


@pytest.mark.parametrize(
    ("voters", "spans", "removed", "error"),
    [
        ("sss", ALL, 2, None),
        ("sss", ALL, 1, None),
        ("s", {}, 1, errors.MemberNotEnoughStarted),  # the last one
        ("sssuu", ALL, 5, None),
        ("sssuu", ALL, 2, errors.MemberNotEnoughStarted),
        ("ssu", ALL, 3, None),
        ("ssu", ALL, 2, errors.MemberNotEnoughStarted),
        ("sss", {2: THERE}, 3, None),  # it is not there: the quorum does without it
        ("sss", {2: THERE}, 2, errors.Unhealthy),
        ("sss", {2: THERE}, 1, errors.Unhealthy),
        ("sss", {2: THERE, 3: FRESH}, 3, errors.Unhealthy),
        ("sss", {}, 99, None),  # a learner
        ("sss", {}, 7, None),  # unknown: others say so
        ("ss", {2: THERE}, 2, None),
    ],
)
def test_removals(voters: str, spans: dict[int, float], removed: int, error: type[Exception] | None) -> None:
    subject = safety(voters, spans)
    if error is None:
        subject.check_remove(removed)
    else:
        with pytest.raises(error):
            subject.check_remove(removed)


@pytest.mark.parametrize(("voters", "is_safe"), [("sss", True), ("ssu", True), ("s", True), ("suu", False)])
def test_promotions(voters: str, *, is_safe: bool) -> None:
    if is_safe:
        safety(voters, {}).check_promote()
    else:
        with pytest.raises(errors.MemberNotEnoughStarted):
            safety(voters, {}).check_promote()


@pytest.mark.parametrize(("voters", "needed"), [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_a_quorum_is_more_than_half(voters: int, needed: int) -> None:
    assert quorum(voters) == needed


def test_urls_are_taken_in_order() -> None:
    assert checked_urls(["https://b:1", "http://[::1]:2380"]) == ("http://[::1]:2380", "https://b:1")


def test_urls_are_recorded_as_members_write_them() -> None:
    assert checked_urls([" HTTP://b:1\n", "http://[fe80::1%eth0]:2"]) == ("http://[fe80::1%eth0]:2", "http://b:1")


@pytest.mark.parametrize(
    "urls",
    [
        [],
        [""],
        ["garbage"],
        ["localhost:2380"],
        ["http://h"],
        ["http://:2380"],
        ["http://h:2380/"],
        ["http://h:2380/path"],
        ["http://h:2380?q"],
        ["http://h:x"],
        ["http://h:99999"],
        ["ftp://h:2380"],
        ["http://u@h:2380"],
        ["http://h\n:2380"],
        ["http://h h:2380"],
        ["http://h%20h:2380"],
        ["http://h\x01:2380"],
        [" http://h:1", "http://h:1"],
        ["http://[::1:2380"],
        ["http://h:1", "bad"],
        ["http://h:1", "http://h:1"],
    ],
)
def test_bad_urls_are_refused(urls: list[str]) -> None:
    with pytest.raises(errors.MemberBadURLs):
        checked_urls(urls)
