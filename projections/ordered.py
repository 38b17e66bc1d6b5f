"""A set in order, of any size: to add, to remove and to take the first cost the same whether it
holds a thousand or a million.

It is a list of parts, each a sorted tuple of at most PART_MAX. A part is found by bisection of the
parts' last members, and a place in it by another; the part is then made anew, which copies some
sixty pointers at most. What comes in order, as time does, is appended without a search. A heap
would be as fast, but it cannot forget a member that is somewhere in it, and so grows with what was.

Parts are tuples because the garbage collector forgets a tuple of what it need not follow. Lists it
would go through whenever it goes through everything: 30 ms for a million members that are none of
its business, in which the event loop stands still.

Not here: what the order means. Members are compared, never asked.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, Generic, Protocol, TypeVar


class Comparable(Protocol):
    """What has an order."""

    def __lt__(self, other: Any, /) -> bool: ...


T = TypeVar("T", bound=Comparable)

PART_MAX: Final = 64  # a part that grows beyond is two


class Ordered(Generic[T]):
    """Members, least first."""

    def __init__(self, members: Iterable[T] = ()) -> None:
        """With these members, which must be in order."""
        left = iter(members)
        self._parts: list[tuple[T, ...]] = []
        while part := tuple(islice(left, PART_MAX)):
            self._parts.append(part)
        self._lasts = [part[-1] for part in self._parts]
        self._size = sum(map(len, self._parts))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[T]:
        for part in self._parts:
            yield from part

    @property
    def first(self) -> T:
        """The least. Raises IndexError when there is none."""
        return self._parts[0][0]

    def number_before(self, bound: Any) -> int:
        """How many are less than this."""
        number = bisect_left(self._lasts, bound)
        whole = sum(map(len, self._parts[:number]))
        return whole + (bisect_left(self._parts[number], bound) if number < len(self._parts) else 0)

    def add(self, member: T) -> None:
        """Take it in, unless it is there."""
        if not self._parts or self._lasts[-1] < member:
            self._append(member)
            return
        number = bisect_left(self._lasts, member)
        part = self._parts[number]
        place = bisect_left(part, member)
        if part[place] != member:
            self._put(number, (*part[:place], member, *part[place:]))
            self._size += 1

    def remove(self, member: T) -> bool:
        """Forget it; whether it was there."""
        number = bisect_left(self._lasts, member)
        if number == len(self._parts):
            return False
        part = self._parts[number]
        place = bisect_left(part, member)
        if part[place] != member:
            return False
        self._drop(number, place)
        return True

    def take_first(self) -> T:
        """The least, which is no member any more. Raises IndexError when there is none."""
        first = self.first
        self._drop(0, 0)
        return first

    def _append(self, member: T) -> None:
        if self._parts and len(self._parts[-1]) < PART_MAX:
            self._parts[-1] = (*self._parts[-1], member)
            self._lasts[-1] = member
        else:
            self._parts.append((member,))
            self._lasts.append(member)
        self._size += 1

    def _drop(self, number: int, place: int) -> None:
        part = self._parts[number]
        self._put(number, part[:place] + part[place + 1 :])
        self._size -= 1

    def _put(self, number: int, part: tuple[T, ...]) -> None:
        """In the place of a part what has become of it: one, or two, or none."""
        if len(part) > PART_MAX:
            halves = part[: PART_MAX // 2], part[PART_MAX // 2 :]
            self._parts[number : number + 1] = halves
            self._lasts[number : number + 1] = [half[-1] for half in halves]
        elif part:
            self._parts[number] = part
            self._lasts[number] = part[-1]
        else:
            del self._parts[number], self._lasts[number]
