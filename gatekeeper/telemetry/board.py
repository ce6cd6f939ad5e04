"""Numbers that several processes write and one of them reads: 64-bit cells in shared memory.

The supervisor makes the memory before it forks. Every worker writes to a board of its own, so that counting
takes no lock; what a worker counted is added to the board of the dead when it ends, so that sums never go
back. A memory of one process alone is the same with one board.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator

Board = memoryview
"""`cells[index] += 1` is all that counting is."""

_HEAD = 1
"""Cells before the boards: a version that is odd while boards are being added up."""


class Boards:
    """`number` boards of `cells` each, and that of the dead. Only the supervisor calls `retire`."""

    def __init__(self, number: int, cells: int) -> None:
        self._cells = cells
        self._number = number + 1
        self._memory = memoryview(mmap.mmap(-1, 8 * (_HEAD + self._number * cells))).cast("q")
        self._taken: set[int] = set()

    def take(self) -> int:
        """The index of a free board, all zero. Raises ValueError when there is none."""
        free = next((index for index in range(1, self._number) if index not in self._taken), None)
        if free is None:
            raise ValueError("no board is free")
        self._taken.add(free)
        return free

    def board(self, index: int) -> Board:
        start = _HEAD + index * self._cells
        return self._memory[start : start + self._cells]

    def retire(self, index: int, counters: int) -> None:
        """Add the first `counters` cells to the board of the dead, forget the rest, and free the board."""
        dead, board = self.board(0), self.board(index)
        self._memory[0] += 1
        for cell in range(counters):
            dead[cell] += board[cell]
        for cell in range(self._cells):
            board[cell] = 0
        self._memory[0] += 1
        self._taken.discard(index)

    def read(self) -> list[list[int]]:
        """All boards, that of the dead first, as of one moment between two retirements."""
        while True:
            version = self._memory[0]
            found = [board.tolist() for board in self._all()]
            if version % 2 == 0 and self._memory[0] == version:
                return found

    def _all(self) -> Iterator[Board]:
        return (self.board(index) for index in range(self._number))
