# SPDX-License-Identifier: MIT
"""Bars of medians with the least and the most as whiskers, as an SVG that is readable on white and on black."""
from xml.sax.saxutils import escape

LEFT, WIDTH, BAR, GAP, RIGHT = 210, 420, 18, 8, 70
OURS, OTHERS, INK = "#2563eb", "#94a3b8", "#64748b"


def bars(title, unit, rows):
    """`rows`: [(label, [values of the rounds], whether it is ours)]. The SVG's text."""
    from statistics import median
    longest = max(max(values) for _, values, _ in rows) or 1
    height = 40 + len(rows) * (BAR + GAP)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + RIGHT}" height="{height}" '
             f'font-family="sans-serif" font-size="12" fill="{INK}">',
             f'<text x="{LEFT}" y="20" font-weight="bold">{escape(title)}, {escape(unit)}</text>']
    for index, (label, values, ours) in enumerate(rows):
        top = 34 + index * (BAR + GAP)
        middle, text = top + BAR / 2, top + BAR - 5
        low, center, high = (WIDTH * value / longest for value in (min(values), median(values), max(values)))
        parts += [
            f'<text x="{LEFT - 8}" y="{text:.0f}" text-anchor="end">{escape(label)}</text>',
            f'<rect x="{LEFT}" y="{top}" width="{center:.1f}" height="{BAR}" fill="{OURS if ours else OTHERS}"/>',
            f'<path d="M{LEFT + low:.1f} {middle}H{LEFT + high:.1f}" stroke="{INK}" stroke-width="1.5"/>',
            f'<text x="{LEFT + high + 6:.1f}" y="{text:.0f}">{median(values):.3g}</text>']
    return "\n".join([*parts, "</svg>", ""])
