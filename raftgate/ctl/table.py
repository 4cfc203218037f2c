"""Tables as etcdctl draws them (olekukonko/tablewriter 0.0.5, which etcd 3.5.16 is built with)."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

ASCII = ("+++", "+++", "+++", "-", "|")
UNICODE = ("┌┬┐", "├┼┤", "└┴┘", "─", "│")
"""Corners and crossings of a table's upper, middle and lower border, and its lines."""

_VARIABLE = "RAFTGATECTL_TABLE"
_CELL_WIDTH = 30  # tablewriter MAX_ROW_WIDTH: a longer text is wrapped


def borders_for(environ: Mapping[str, str]) -> Sequence[str]:
    """The borders that the environment asks for: ASCII, as every guide shows them, unless told otherwise."""
    return UNICODE if environ.get(_VARIABLE) == "unicode" else ASCII


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], borders: Sequence[str] = ASCII) -> str:
    """A table with upper case, centred titles and cells aligned to the right."""
    upper, middle, lower, line, side = borders
    wrapped = [[_wrap(cell) for cell in row] for row in rows]
    columns = zip(titles, *wrapped, strict=True)
    widths = [max([len(title), *map(_width, cells)]) for title, *cells in columns]

    def border(corners: str) -> str:
        return corners[0] + corners[1].join(line * (width + 2) for width in widths) + corners[2]

    def draw(texts: Iterable[str]) -> str:
        return side + side.join(f" {text} " for text in texts) + side

    lines = [border(upper), draw(map(_centre, map(str.upper, titles), widths)), border(middle)]
    for cells in wrapped:
        for at in range(max(map(len, cells))):
            texts = (cell[at] if at < len(cell) else "" for cell in cells)
            lines.append(draw(map(str.rjust, texts, widths)))
    return "".join(f"{text}\n" for text in (*lines, border(lower)))


def _centre(text: str, width: int) -> str:
    spare = width - len(text)
    return " " * (spare // 2) + text + " " * (spare - spare // 2)


def _width(lines: Sequence[str]) -> int:
    """The width that a cell claims: a wrapped one the whole of its limit, even when no line fills it."""
    width = max(map(len, lines))
    return width if len(lines) == 1 else max(width, _CELL_WIDTH)


def _wrap(text: str) -> list[str]:
    """The lines of a cell, broken at spaces so that the squares of what they leave empty are least in sum."""
    words = text.split(" ")
    limit = max(_CELL_WIDTH, *map(len, words))

    @cache
    def cheapest(start: int) -> tuple[int, int]:
        """The cost of the words from `start` on, and where their first line ends."""
        if len(" ".join(words[start:])) <= limit:
            return 0, len(words)
        costs = []
        for end in range(start + 1, len(words)):
            spare = limit - len(" ".join(words[start:end]))
            if spare < 0:
                break
            costs.append((spare**2 + cheapest(end)[0], end))
        return min(costs)

    lines = []
    start = 0
    while start < len(words):
        end = cheapest(start)[1]
        lines.append(" ".join(words[start:end]))
        start = end
    return lines
