"""What verbs have in common that put one question to each endpoint and print the answers side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from raftgate.api.kv import ResponseHeader
from raftgate.api.message import Message, Request
from raftgate.ctl.client import CallError
from raftgate.ctl.errors import CommandError, ExitCode
from raftgate.ctl.invocation import Invocation
from raftgate.ctl.printers import Fields, json_text, to_json
from raftgate.ctl.settings import read_settings
from raftgate.ctl.table import ASCII, borders_for, table
from raftgate.ctl.targets import Target, ask_all, connect_each

R = TypeVar("R", bound=Message)


@dataclass(frozen=True, slots=True)
class Report(Generic[R]):
    """How the answers of one kind are printed."""

    subject: str
    """What a failing endpoint did not give, in the line that tells so."""
    name: str
    """The name of an answer in JSON."""
    titles: tuple[str, ...]
    header: Callable[[R], ResponseHeader | None]
    cells: Callable[[str, R], tuple[str, ...]]
    """The row of an endpoint, as wide as `titles`."""
    fields: Callable[[str, R], tuple[str, ...]]
    """The lines of an endpoint below those of its header."""


def run(report: Report[R], request: Request[R], invocation: Invocation) -> CallError | None:
    """Asks every endpoint, prints the answers in their order and tells of failures; returns the last one.

    Raises: CommandError.
    """
    settings = read_settings(invocation)
    if settings.output == "protobuf":
        raise CommandError("protobuf not supported as output format", ExitCode.BAD_FEATURE)

    def ask(target: Target) -> tuple[str, R | CallError]:
        try:
            return target.endpoint, target.client.call(request)
        except CallError as error:
            return target.endpoint, error

    answers = []
    failure = None
    with connect_each(invocation, settings) as targets:
        for endpoint, answer in ask_all(targets, ask):
            if isinstance(answer, CallError):
                failure = answer
                invocation.console.complain(f"Failed to get the {report.subject} of endpoint {endpoint} ({answer})")
            else:
                answers.append((endpoint, answer))
    borders = borders_for(invocation.environ)
    invocation.console.write(render(report, answers, settings.output, is_hex=settings.is_hex, borders=borders))
    return failure


def render(
    report: Report[R],
    answers: Sequence[tuple[str, R]],
    output: str,
    *,
    is_hex: bool = False,
    borders: Sequence[str] = ASCII,
) -> str:
    """The text of all answers, each with its endpoint."""
    if output == "json":
        pairs = ((json_text(endpoint), to_json(answer)) for endpoint, answer in answers)
        return "[" + ",".join(f'{{"Endpoint":{name},"{report.name}":{text}}}' for name, text in pairs) + "]\n"
    if output == "fields":
        header = Fields(is_hex=is_hex).header
        lines = [
            line
            for endpoint, answer in answers
            for line in (*header(report.header(answer) or ResponseHeader()), *report.fields(endpoint, answer), "")
        ]
        return "".join(f"{line}\n" for line in lines)
    rows = [report.cells(endpoint, answer) for endpoint, answer in answers]
    if output == "table":
        return table(report.titles, rows, borders)
    return "".join(f"{', '.join(row)}\n" for row in rows)
