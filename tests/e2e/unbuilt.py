"""What raftgate does not do yet: a case that meets it skips with its reason, and counts as soon as it is done.

To go with the last of it: this module, and its two uses in `test_cases.py`.
"""

from tests.e2e.answers import Answer
from tests.e2e.case import Case, Step
from tests.e2e.rpc import ALARM, COMPACTION, DEFRAGMENT, HASH, HASHKV, RANGE, STATUS, TXN

# Of range and txn only reads of the past answer 501, of alarm only what is no GET.
PATHS = frozenset({ALARM, COMPACTION, DEFRAGMENT, HASH, HASHKV, RANGE, STATUS, TXN})
FLAGS = ("--quota-backend-bytes", "--raftgate-auto-disarm")


def unserved(step: Step, answer: Answer) -> str | None:
    """Say what raftgate does not serve yet, from its answer to a step."""
    is_refusal = answer.status == 501 and isinstance(answer.body, dict) and answer.body.get("code") == 12
    if is_refusal and step.method == "POST" and step.path in PATHS:
        return f"raftgate answers 501 to {step.path}"
    return None


def unknown_flag(case: Case, failure: AssertionError) -> str | None:
    """Say which flag of a case raftgate does not take yet, from how its start failed."""
    for flag in (*case.flags, *case.own_flags):
        name = flag.partition("=")[0]
        refusals = (f"{name} is not supported yet", f"flag provided but not defined: {name.removeprefix('-')}")
        if name in FLAGS and any(refusal in str(failure) for refusal in refusals):
            return f"raftgate does not take {name} yet"
    return None
