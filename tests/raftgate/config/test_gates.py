import pytest

from raftgate.config.gates import GATES, is_enabled, parse_gates


def test_the_gates_and_their_defaults() -> None:
    assert {name for name in GATES if is_enabled({}, name)} == {"TxnModeWriteWithSharedBuffer"}
    assert len(GATES) == 7


def test_pairs_are_read_and_added_to_those_before() -> None:
    gates = parse_gates("LeaseCheckpoint=true, CompactHashCheck = f,", {"InitialCorruptCheck": True})
    assert gates == {"InitialCorruptCheck": True, "LeaseCheckpoint": True, "CompactHashCheck": False}


def test_a_named_gate_is_stronger_than_its_stage() -> None:
    gates = parse_gates("AllAlpha=true,LeaseCheckpoint=false,AllBeta=false", None)
    assert not is_enabled(gates, "LeaseCheckpoint")
    assert is_enabled(gates, "CompactHashCheck")
    assert not is_enabled(gates, "TxnModeWriteWithSharedBuffer")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("X=true", "unrecognized feature gate: X"),
        ("LeaseCheckpoint", "missing bool value for LeaseCheckpoint"),
        (
            "LeaseCheckpoint=yes",
            'invalid value of LeaseCheckpoint=yes, err: strconv.ParseBool: parsing "yes": invalid syntax',
        ),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_gates(text, None)
    assert str(caught.value) == reason
