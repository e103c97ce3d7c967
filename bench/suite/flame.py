# SPDX-License-Identifier: MIT
"""Flame graphs of the client, the relay and the exit under one stream: `perf record`, its stacks folded, and an SVG of each.
A frame is as wide as its share of the samples; its name and share are its tooltip."""
import re
import subprocess
from xml.sax.saxutils import escape

WIDTH, ROW, LEAST = 1200, 16, 1.2  # px; narrower frames are left out
FREQUENCY = 499
STACK_BYTES = 16384  # of each sample, for unwinding programs without frame pointers
CALLERS = re.compile(r"^\s+[0-9a-f]+ (.+)$")


def record(pids, seconds, file):
    """Samples processor time of `pids` with call graphs. Needs root, or a permissive perf_event_paranoid."""
    subprocess.run(["perf", "record", "-q", "-e", "cpu-clock", "-F", str(FREQUENCY), "--call-graph", f"dwarf,{STACK_BYTES}", "-o",
                    str(file), "-p", ",".join(map(str, pids)), "--", "sleep", str(seconds)],
                   check=True, capture_output=True)


def short(symbol):
    """Without arguments and template arguments, by which C++ names reach a kilobyte, and without an offset."""
    symbol = re.sub(r"\+0x[0-9a-f]+$", "", symbol)
    symbol = symbol.replace("(anonymous namespace)", "{anonymous}").replace("operator()", "operator{}")
    while (shorter := re.sub(r"<[^<>]*>|\([^()]*\)", "", symbol)) != symbol:
        symbol = shorter
    return symbol.replace("{}", "()").replace("boost::", "").strip() or "?"


def fold(file):
    """{(outermost, ..., innermost): samples}"""
    # Inlined frames would cost a line lookup for each of them.
    text = subprocess.run(["perf", "script", "--no-inline", "-F", "ip,sym", "-i", str(file)], check=True, capture_output=True,
                          text=True, errors="replace").stdout
    folded = {}
    for sample in text.split("\n\n"):
        frames = [short(found[1]) for line in sample.splitlines() if (found := CALLERS.match(line))]
        if frames:
            stack = tuple(frame for frame in reversed(frames) if frame != "[unknown]")
            folded[stack] = folded.get(stack, 0) + 1
    return folded


def boxes(folded):
    """[(depth, first sample, samples, name)], the callers first."""
    found = []

    def visit(stacks, depth, left):
        groups = {}
        for stack, count in stacks:
            if stack:
                groups.setdefault(stack[0], []).append((stack[1:], count))
        for name, inner in sorted(groups.items()):
            total = sum(count for _, count in inner)
            found.append((depth, left, total, name))
            visit(inner, depth + 1, left)
            left += total
    visit(list(folded.items()), 0, 0)
    return found


def colour(name):
    """Ciphers, system calls and the kernel, and the rest."""
    if re.search(r"chacha|poly1305|aes|gcm|ghash|ctr32|EVP_|sha256|_CRYPTO", name, re.I):
        return "#f59e0b"
    if "::" not in name and re.search(r"syscall|sys_|tcp_|sock|skb|copy_|entry_|^_*ip_|net_|ep_|irq|task", name, re.I):
        return "#60a5fa"
    return "#fca5a5"


def svg(title, folded):
    total = sum(folded.values())
    drawn = [box for box in boxes(folded) if box[2] * WIDTH / total >= LEAST]
    deepest = max(depth for depth, *_ in drawn)
    height = (deepest + 3) * ROW
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="monospace" font-size="11">',
             f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
             f'<text x="4" y="13" font-weight="bold">{escape(title)}, {total} samples</text>']
    for depth, left, count, name in drawn:
        x, width = left * WIDTH / total, count * WIDTH / total
        y = height - (depth + 1) * ROW
        label = escape(name[:int(width / 6.7)]) if width > 30 else ""
        parts.append(f'<g><title>{escape(name)}, {100 * count / total:.1f}%</title><rect x="{x:.1f}" y="{y}" '
                     f'width="{width:.1f}" height="{ROW - 1}" fill="{colour(name)}"/>'
                     f'<text x="{x + 2:.1f}" y="{y + 11}">{label}</text></g>')
    return "\n".join([*parts, "</svg>", ""])


def hottest(folded, count=12):
    """[(share, innermost function)], the largest first."""
    total, own = sum(folded.values()), {}
    for stack, samples in folded.items():
        if stack:
            own[stack[-1]] = own.get(stack[-1], 0) + samples
    return [(samples / total, name) for name, samples in sorted(own.items(), key=lambda item: -item[1])[:count]]
