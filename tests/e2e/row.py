"""What a row of the contract is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the contract.

    It is proven by the cases that name its id, or, where a black-box case cannot, by a test `elsewhere` (below
    tests/). `later` names what brings a row that is not built yet.
    """

    id: str
    text: str
    elsewhere: tuple[str, ...] = ()
    later: str = ""
