"""Which of many key ranges hold a key, at a cost that grows with those that do.

Single keys are looked up in a dict, ranges without an end are those that start at or below the key, and ranges with an
end are in a balanced tree whose nodes know the highest end below them: a key's ranges are found in logarithmic time
each (Cormen et al., interval trees; Adelson-Velsky and Landis for the balance).
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

from sortedcontainers import SortedDict

from storage.index import FROM_KEY

T = TypeVar("T")


class Ranges(Generic[T]):
    """Things by key range, several to a range."""

    __slots__ = ("_open", "_root", "_single")

    def __init__(self) -> None:
        self._single: dict[bytes, list[T]] = {}
        self._open: SortedDict = SortedDict()  # start -> things: of ranges without an end
        self._root: _Node[T] | None = None

    def add(self, key: bytes, range_end: bytes, item: T) -> None:
        """Adds a thing under `[key, range_end)`, which is not empty."""
        if not range_end:
            self._single.setdefault(key, []).append(item)
        elif range_end == FROM_KEY:
            self._open.setdefault(key, []).append(item)
        else:
            self._root = _insert(self._root, (key, range_end), item)

    def remove(self, key: bytes, range_end: bytes, item: T) -> None:
        """Removes what has been added."""
        if range_end and range_end != FROM_KEY:
            self._root = _remove(self._root, (key, range_end), item)
            return
        items = self._open if range_end else self._single
        items[key].remove(item)
        if not items[key]:
            del items[key]

    def find(self, key: bytes) -> list[T]:
        """The things whose range holds a key."""
        found = list(self._single.get(key, ()))
        if self._open:
            for start in self._open.irange(None, key):
                found += self._open[start]
        if self._root is not None:
            for items in _holding(self._root, key):
                found += items
        return found


class _Node(Generic[T]):
    """A range with an end, and what is below it."""

    __slots__ = ("height", "highest", "items", "left", "range", "right")

    def __init__(self, range_: tuple[bytes, bytes], item: T) -> None:
        self.range = range_
        self.items = [item]
        self.left: _Node[T] | None = None
        self.right: _Node[T] | None = None
        self.highest = range_[1]
        """The highest end here and below."""
        self.height = 1


def _holding(root: _Node[T], key: bytes) -> Iterator[list[T]]:
    stack = [root]
    while stack:
        node = stack.pop()
        start, end = node.range
        if node.left is not None and node.left.highest > key:
            stack.append(node.left)
        if start <= key:
            if key < end:
                yield node.items
            if node.right is not None and node.right.highest > key:
                stack.append(node.right)


def _insert(node: _Node[T] | None, range_: tuple[bytes, bytes], item: T) -> _Node[T]:
    if node is None:
        return _Node(range_, item)
    if range_ == node.range:
        node.items.append(item)
        return node
    if range_ < node.range:
        node.left = _insert(node.left, range_, item)
    else:
        node.right = _insert(node.right, range_, item)
    return _balanced(node)


def _remove(node: _Node[T] | None, range_: tuple[bytes, bytes], item: T) -> _Node[T] | None:
    if node is None:
        raise KeyError(range_)
    if range_ < node.range:
        node.left = _remove(node.left, range_, item)
    elif range_ > node.range:
        node.right = _remove(node.right, range_, item)
    else:
        node.items.remove(item)
        if node.items:
            return node
        if node.left is None or node.right is None:
            return node.left or node.right
        lowest, rest = _without_lowest(node.right)
        lowest.left, lowest.right = node.left, rest
        node = lowest
    return _balanced(node)


def _without_lowest(node: _Node[T]) -> tuple[_Node[T], _Node[T] | None]:
    if node.left is None:
        return node, node.right
    lowest, node.left = _without_lowest(node.left)
    return lowest, _balanced(node)


def _balanced(node: _Node[T]) -> _Node[T]:
    """A node whose children are balanced, with its heights right, and turned if one side is too high."""
    left, right = node.left, node.right
    lean = (left.height if left else 0) - (right.height if right else 0)
    if lean > 1:
        assert left is not None, "it is the higher one"
        if _height(left.right) > _height(left.left):
            node.left = _turn_left(left)
        return _turn_right(node)
    if lean < -1:
        assert right is not None, "it is the higher one"
        if _height(right.left) > _height(right.right):
            node.right = _turn_right(right)
        return _turn_left(node)
    return _measured(node)


def _turn_right(node: _Node[T]) -> _Node[T]:
    top = node.left
    assert top is not None, "it takes the node's place"
    node.left = top.right
    top.right = _measured(node)
    return _measured(top)


def _turn_left(node: _Node[T]) -> _Node[T]:
    top = node.right
    assert top is not None, "it takes the node's place"
    node.right = top.left
    top.left = _measured(node)
    return _measured(top)


def _measured(node: _Node[T]) -> _Node[T]:
    left, right = node.left, node.right
    node.height = 1 + max(_height(left), _height(right))
    node.highest = node.range[1]
    for child in (left, right):
        if child is not None and child.highest > node.highest:
            node.highest = child.highest
    return node


def _height(node: _Node[T] | None) -> int:
    return 0 if node is None else node.height
