"""A QR code as SVG inside a page: attributes only, so that a strict Content-Security-Policy passes it."""

from __future__ import annotations

import html

import segno

QUIET_ZONE = 4
"""Modules of white around it. ISO/IEC 18004 section 6.3.8."""


def svg(text: str, *, label: str = "QR code") -> str:
    """`text` as an `<svg>` element; `label` is what a screen reader says.

    Black on its own white ground on dark pages too: many apps do not read inverted codes. No size of its own
    but a view box, no style and no script; the class `qr` is the style sheet's handle.
    """
    code = segno.make_qr(text, error="m", boost_error=False)
    rows = [bytes(row) for row in code.matrix_iter(border=QUIET_ZONE)]
    size = len(rows)
    dark = "".join(_runs(row, y) for y, row in enumerate(rows))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="qr" role="img" aria-label="{html.escape(label)}" '
        f'viewBox="0 0 {size} {size}" shape-rendering="crispEdges">'
        f'<path fill="#ffffff" d="M0 0h{size}v{size}H0z"/><path fill="#000000" d="{dark}"/></svg>'
    )


def _runs(row: bytes, y: int) -> str:
    """One row's dark modules as rectangles, one for each run."""
    parts, x = [], 0
    while x < len(row):
        end = x
        while end < len(row) and row[end]:
            end += 1
        if end > x:
            parts.append(f"M{x} {y}h{end - x}v1H{x}z")
        x = end + 1
    return "".join(parts)
