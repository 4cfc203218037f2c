"""etcd 3.6's feature gates: the table, and how `--feature-gates` is read (etcd pkg/featuregate)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from raftgate.config.syntax import parse_bool, quote


class Stage(StrEnum):
    """How far a gate has come; `AllAlpha` and `AllBeta` set all gates of a stage."""

    ALPHA = "AllAlpha"
    BETA = "AllBeta"


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate; `old_flag` is its spelling in etcd 3.5 without `experimental-`."""

    name: str
    default: bool
    stage: Stage
    old_flag: str = ""
    has_effect: bool = True  # whether there is anything in raftgate that it could switch
    works: bool = False  # whether it may be other than its default


GATES = {
    gate.name: gate
    for gate in (
        Gate("CompactHashCheck", default=False, stage=Stage.ALPHA, old_flag="compact-hash-check-enabled", works=True),
        Gate("InitialCorruptCheck", default=False, stage=Stage.ALPHA, old_flag="initial-corrupt-check", works=True),
        Gate("LeaseCheckpoint", default=False, stage=Stage.ALPHA, old_flag="enable-lease-checkpoint"),
        Gate("LeaseCheckpointPersist", default=False, stage=Stage.ALPHA, old_flag="enable-lease-checkpoint-persist"),
        Gate("SetMemberLocalAddr", default=False, stage=Stage.ALPHA, has_effect=False),
        Gate("StopGRPCServiceOnDefrag", default=False, stage=Stage.ALPHA, old_flag="stop-grpc-service-on-defrag"),
        Gate(
            "TxnModeWriteWithSharedBuffer",
            default=True,
            stage=Stage.BETA,
            old_flag="txn-mode-write-with-shared-buffer",
            has_effect=False,
        ),
    )
}


def parse_gates(text: str, current: Mapping[str, bool] | None) -> Mapping[str, bool]:
    """The gates named so far and those of `text`, such as `LeaseCheckpoint=true,AllBeta=false`: name -> wanted.

    Raises: ValueError with etcd's text.
    """
    gates = dict(current or {})
    groups: dict[Stage, bool] = {}
    for pair in filter(None, text.split(",")):
        name, equals, word = (part.strip() for part in pair.partition("="))
        if not equals:
            raise ValueError(f"missing bool value for {name}")
        is_wanted = _parse_wanted(name, word)
        if name in set(Stage):
            groups[Stage(name)] = is_wanted
        elif name in GATES:
            gates[name] = is_wanted
        else:
            raise ValueError(f"unrecognized feature gate: {name}")
    for gate in GATES.values():  # a gate that is named itself is stronger than its group
        if gate.stage in groups:
            gates.setdefault(gate.name, groups[gate.stage])
    return gates


def _parse_wanted(name: str, word: str) -> bool:
    try:
        return parse_bool(word)
    except ValueError:
        reason = f"strconv.ParseBool: parsing {quote(word)}: invalid syntax"
        raise ValueError(f"invalid value of {name}={word}, err: {reason}") from None


def is_enabled(gates: Mapping[str, bool], name: str) -> bool:
    """Whether the gate is on: as given, else by its default."""
    return gates.get(name, GATES[name].default)
