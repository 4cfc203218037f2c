"""Usage texts, and the verb `help` that prints them."""

from collections.abc import Sequence

from raftgate.ctl.commands import ROOT, Command, Found, find
from raftgate.ctl.errors import UsageError
from raftgate.ctl.flags import Flag, Kind
from raftgate.ctl.invocation import Invocation


def render(found: Found) -> str:
    """The usage of a verb, a group or, for the root, of the whole command."""
    command = found.command
    line = " ".join([*(step.name for step in found.path), *filter(None, [command.usage]), "[flags]"])
    name = " ".join(step.name for step in found.path[1:]) or command.name
    parts = [f"NAME:\n\t{name} - {command.short}\n", f"USAGE:\n\t{line}\n"]
    if command.long:
        text = "\n".join(f"\t{text}".rstrip() for text in command.long.strip().splitlines())
        parts.append(f"DESCRIPTION:\n{text}\n")
    if command.children:
        parts.append(_section("COMMANDS", [(f"\t{name}", short) for name, short in _verbs(command)]))
    parts.append(_section("OPTIONS", _options(found.own)))
    if found.inherited:
        parts.append(_section("GLOBAL OPTIONS", _options(found.inherited)))
    return "\n".join(parts) + "\n"


def run(invocation: Invocation) -> None:
    """The verb `help`: the usage of the verb that its arguments name."""
    try:
        found = find(ROOT, invocation.arguments)
    except UsageError:
        invocation.console.complain(f"Unknown help topic [{' '.join(f'`{word}`' for word in invocation.arguments)}]")
        found = Found((ROOT,), ())
    invocation.console.write(render(found))


def run_for_verb(invocation: Invocation) -> None:
    """What stands in for a group, and for every verb with --help: its usage."""
    invocation.console.write(render(invocation.found))


def _verbs(group: Command) -> list[tuple[str, str]]:
    """Names and descriptions of all verbs below a group."""
    verbs = []
    for child in group.children:
        if child.children:
            verbs += [(f"{child.name} {name}", short) for name, short in _verbs(child)]
        else:
            verbs.append((child.name, child.short))
    return verbs


def _options(flags: Sequence[Flag]) -> list[tuple[str, str]]:
    return [(_option(flag), flag.help) for flag in sorted(flags, key=lambda flag: flag.name)]


def _option(flag: Flag) -> str:
    value = flag.show(flag.default)
    if flag.kind is Kind.STRING:
        value = f'"{value}"'
    short = f"-{flag.short}, " if flag.short else " " * 4
    return f"  {short}--{flag.name}" + (f"[={value}]" if flag.kind is Kind.BOOL else f"={value}")


def _section(title: str, rows: Sequence[tuple[str, str]]) -> str:
    width = max(len(left) for left, _ in rows)
    return f"{title}:\n" + "".join(f"{left.ljust(width)}  {right}\n" for left, right in rows)
