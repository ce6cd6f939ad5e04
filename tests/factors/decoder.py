"""Reads our QR codes as a phone does, but from perfect pictures: ISO/IEC 18004 without error correction."""

from __future__ import annotations

import re
from xml.etree import ElementTree

_RUN = re.compile(r"M(\d+) (\d+)h(\d+)v1H\d+z")
_ALIGNED = {5: (6, 30), 6: (6, 34), 7: (6, 22, 38), 8: (6, 24, 42), 9: (6, 26, 46), 10: (6, 28, 50)}
_BLOCKS = {  # data codewords of each block at error correction level M
    5: [43] * 2,
    6: [27] * 4,
    7: [31] * 4,
    8: [38] * 2 + [39] * 2,
    9: [36] * 3 + [37] * 2,
    10: [43] * 4 + [44],
}
_MASKS = (
    lambda r, c: (r + c) % 2 == 0,
    lambda r, c: r % 2 == 0,
    lambda r, c: c % 3 == 0,
    lambda r, c: (r + c) % 3 == 0,
    lambda r, c: (r // 2 + c // 3) % 2 == 0,
    lambda r, c: r * c % 2 + r * c % 3 == 0,
    lambda r, c: (r * c % 2 + r * c % 3) % 2 == 0,
    lambda r, c: ((r + c) % 2 + r * c % 3) % 2 == 0,
)


def modules(svg: str) -> list[list[bool]]:
    """The dark modules of the picture, quiet zone included."""
    root = ElementTree.fromstring(svg)
    size = int(root.attrib["viewBox"].split()[2])
    found = [[False] * size for _ in range(size)]
    dark = root[1].attrib["d"]
    assert _RUN.sub("", dark) == ""
    for x, y, width in ((int(n) for n in run) for run in _RUN.findall(dark)):
        for column in range(x, x + width):
            found[y][column] = True
    return found


def decode(svg: str, *, quiet: int = 4) -> str:
    """The text of a byte-mode code of version 5 to 10 at level M."""
    whole = modules(svg)
    assert not any(any(row) for row in whole[:quiet] + whole[-quiet:])
    grid = [row[quiet:-quiet] for row in whole[quiet:-quiet]]
    size = len(grid)
    version = (size - 17) // 4
    bits = [grid[8][c] for c in (0, 1, 2, 3, 4, 5, 7, 8)][:5]
    form = sum(bit << (4 - place) for place, bit in enumerate(bits)) ^ 0b10101
    assert form >> 3 == 0b00, "level M"
    mask, taken = _MASKS[form & 7], _function_patterns(size, version)
    stream, upward = [], True
    for right in range(size - 1, 0, -2):
        column = right if right > 6 else right - 1
        for row in range(size - 1, -1, -1) if upward else range(size):
            pair = [c for c in (column, column - 1) if not taken[row][c]]
            stream += [grid[row][c] ^ mask(row, c) for c in pair]  # type: ignore[no-untyped-call]
        upward = not upward
    words = [_number(stream[at : at + 8]) for at in range(0, len(stream) - 7, 8)]
    return _text(_deinterleaved(words, _BLOCKS[version]), version)


def _function_patterns(size: int, version: int) -> list[list[bool]]:
    taken = [[r == 6 or c == 6 for c in range(size)] for r in range(size)]

    def take(rows: range, columns: range) -> None:
        for r in rows:
            for c in columns:
                taken[r][c] = True

    take(range(9), range(9))
    take(range(9), range(size - 8, size))
    take(range(size - 8, size), range(9))
    places, last = _ALIGNED[version], _ALIGNED[version][-1]
    for r in places:
        for c in places:
            if (r, c) not in ((6, 6), (6, last), (last, 6)):
                take(range(r - 2, r + 3), range(c - 2, c + 3))
    if version >= 7:
        take(range(6), range(size - 11, size - 8))
        take(range(size - 11, size - 8), range(6))
    return taken


def _deinterleaved(words: list[int], blocks: list[int]) -> bytes:
    found: list[list[int]] = [[] for _ in blocks]
    rest = iter(words)
    for place in range(max(blocks)):
        for block, length in zip(found, blocks, strict=True):
            if place < length:
                block.append(next(rest))
    return bytes(word for block in found for word in block)


def _text(data: bytes, version: int) -> str:
    bits = [byte >> place & 1 == 1 for byte in data for place in range(7, -1, -1)]
    assert _number(bits[:4]) == 0b0100, "byte mode"
    begin = 4 + (8 if version < 10 else 16)
    length = _number(bits[4:begin])
    return bytes(_number(bits[at : at + 8]) for at in range(begin, begin + 8 * length, 8)).decode()


def _number(bits: list[bool]) -> int:
    return sum(bit << place for place, bit in enumerate(reversed(bits)))
