"""Charts as inline SVG: no script, no network, colours from the page's CSS.

The number of a series gives its class (`s0`, `s1`, …) and its marker, so that series differ even
without colours. Charts are 340 pixels wide, which a phone shows without scaling.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 340, 200
LEFT, RIGHT, TOP, BOTTOM = 44, 22, 10, 34
SERIES = 6  # different looks; a seventh series looks like the first


@dataclass(frozen=True, slots=True)
class Point:
    """One value, with an interval if it has one; a hollow marker is a dropped round."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    hollow: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """Points that belong together, in order of x."""

    name: str
    points: Sequence[Point]


class _Frame:
    """The axes of a chart: maps values to coordinates."""

    def __init__(
        self, x: tuple[float, float], y: tuple[float, float], height: float = HEIGHT
    ) -> None:
        self.x_low, self.x_high = x
        self.y_low, self.y_high = y
        self.height = height

    def x(self, value: float) -> float:
        share = (value - self.x_low) / (self.x_high - self.x_low)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return round(self.height - BOTTOM - share * (self.height - TOP - BOTTOM), 1)

    def x_axis(self, ticks: Sequence[tuple[float, str]], label: str) -> Iterator[Markup]:
        bottom = self.height - BOTTOM
        yield _line("axis", LEFT, bottom, WIDTH - RIGHT, bottom)
        for value, text in ticks:
            yield _line("axis", self.x(value), bottom, self.x(value), bottom + 4)
            yield _text("tick mid", self.x(value), bottom + 15, text)
        yield _text("tick mid", (LEFT + WIDTH - RIGHT) / 2, self.height - 5, label)

    def y_axis(self, ticks: Sequence[tuple[float, str]]) -> Iterator[Markup]:
        for value, text in ticks:
            yield _line("grid", LEFT, self.y(value), WIDTH - RIGHT, self.y(value))
            yield _text("tick end", LEFT - 6, self.y(value) + 4, text)


def round_chart(title: str, series: Sequence[Series], x_label: str = "round") -> Markup:
    """Draw a metric by round: a marker for each series, with its interval if it has one."""
    points = [point for line in series for point in line.points]
    rounds = sorted({point.x for point in points})
    y_ticks = _ticks(
        min(_value_or(p.low, p.y) for p in points), max(_value_or(p.high, p.y) for p in points)
    )
    frame = _Frame((rounds[0] - 0.5, rounds[-1] + 0.5), (y_ticks[0], y_ticks[-1]))
    parts = [
        *frame.y_axis(_labels(y_ticks)),
        *frame.x_axis([(number, f"{number:.0f}") for number in _thinned(rounds)], x_label),
    ]
    for number, line in enumerate(series):
        shift = (number - (len(series) - 1) / 2) * 0.22  # series stand side by side
        shifted = [(frame.x(p.x + shift), p) for p in line.points]
        parts.append(_polyline(f"s{number % SERIES} thin", [(x, frame.y(p.y)) for x, p in shifted]))
        for x, point in shifted:
            if point.low is not None and point.high is not None:
                kind = f"s{number % SERIES} bar"
                parts.append(_line(kind, x, frame.y(point.low), x, frame.y(point.high)))
            parts.append(_marker(number, x, frame.y(point.y), hollow=point.hollow))
    return _svg(title, _in_words(series), parts)


def line_chart(title: str, x_label: str, series: Sequence[Series]) -> Markup:
    """Draw lines over a number, such as the loss over epochs; the y axis starts at 0."""
    points = [point for line in series for point in line.points]
    y_ticks = _ticks(0, max(point.y for point in points))
    last = max(point.x for point in points)
    x_ticks = [tick for tick in _ticks(0, last) if tick <= last and tick == int(tick)]
    frame = _Frame((0, last or 1), (y_ticks[0], y_ticks[-1]))
    parts = [*frame.y_axis(_labels(y_ticks)), *frame.x_axis(_labels(x_ticks), x_label)]
    for number, line in enumerate(series):
        coordinates = [(frame.x(p.x), frame.y(p.y)) for p in line.points]
        parts.append(_polyline(f"s{number % SERIES} d{number % SERIES}", coordinates))
        if len(coordinates) <= 30:
            parts += [_marker(number, x, y) for x, y in coordinates]
    return _svg(title, _in_words(series), parts)


def histogram(
    title: str, x_label: str, edges: Sequence[float], shares: Sequence[tuple[str, Sequence[float]]]
) -> Markup:
    """Draw distributions over the same bins: the first filled, the others as step lines."""
    y_ticks = _ticks(0, max(max(values) for _, values in shares))
    frame = _Frame((edges[0], edges[-1]), (0, y_ticks[-1]))
    x_ticks = [tick for tick in _ticks(edges[0], edges[-1]) if edges[0] <= tick <= edges[-1]]
    percent = [(tick, f"{tick:.0%}") for tick in y_ticks]
    parts = [*frame.y_axis(percent), *frame.x_axis(_labels(x_ticks), x_label)]
    for number, (_, values) in enumerate(shares):
        steps = [(edges[0], 0.0)]
        for left, right, value in zip(edges, edges[1:], values, strict=False):
            steps += [(left, value), (right, value)]
        steps.append((edges[-1], 0.0))
        kind = f"s{number % SERIES} " + (f"d{number % SERIES}" if number else "filled")
        parts.append(_polyline(kind, [(frame.x(x), frame.y(y)) for x, y in steps]))
    peaks = [
        f"{name}: peak near {_mode(edges, values):.2f}" for name, values in shares if any(values)
    ]
    return _svg(title, "; ".join(peaks), parts)


def gain_chart(
    title: str, rows: Sequence[tuple[str, Point]], x_label: str = "gain in MRR@10"
) -> Markup:
    """Draw gains with intervals as rows around a line at zero; y of the points is not used.

    Args:
        title: title of the chart.
        rows: labels, and gains (x) with their intervals (low, high).
        x_label: label of the x axis.
    """
    height = TOP + BOTTOM + 26 * len(rows)
    values = [value for _, p in rows for value in (p.x, p.low, p.high) if value is not None]
    ticks = _ticks(min(-0.01, *values), max(0.01, *values))
    frame = _Frame((ticks[0], ticks[-1]), (0, len(rows)), height)
    parts = [
        *frame.x_axis([(t, f"{t:+.3g}".replace("-", "−") if t else "0") for t in ticks], x_label)
    ]
    parts.append(_line("zero", frame.x(0), TOP, frame.x(0), height - BOTTOM))
    for number, (label, point) in enumerate(rows):
        y = frame.y(len(rows) - number - 0.5)
        parts.append(_text("tick end", LEFT - 6, y + 4, label))
        if point.low is not None and point.high is not None:
            parts.append(_line("s2 bar", frame.x(point.low), y, frame.x(point.high), y))
        parts.append(_marker(2, frame.x(point.x), y, hollow=point.hollow))
    described = "; ".join(f"{label} {point.x:+.3f}" for label, point in rows)
    return _svg(title, described, parts, height)


def reliability_chart(title: str, points: Sequence[Point]) -> Markup:
    """Draw how often answers are right by their confidence; the diagonal is perfect."""
    ticks = [0.0, 0.25, 0.5, 0.75, 1.0]
    frame = _Frame((0, 1), (0, 1))
    parts = [*frame.y_axis(_labels(ticks)), *frame.x_axis(_labels(ticks), "stated confidence")]
    parts.append(_line("zero", frame.x(0), frame.y(0), frame.x(1), frame.y(1)))
    parts.append(_polyline("s1", [(frame.x(p.x), frame.y(p.y)) for p in points]))
    parts += [_marker(1, frame.x(p.x), frame.y(p.y)) for p in points]
    described = "; ".join(f"stated {p.x:.2f}, right {p.y:.2f}" for p in points)
    return _svg(title, described, parts)


def legend(names: Sequence[str], *, filled_first: bool = False) -> Markup:
    """Return the names of series, each with its marker (in a histogram, with its line)."""
    items = []
    for number, name in enumerate(names):
        if filled_first and number == 0:
            sample: Markup = Markup('<rect class="s0 filled" x="1" y="3" width="18" height="8"/>')
        elif filled_first:
            sample = _line(f"s{number % SERIES} d{number % SERIES}", 0, 7, 20, 7)
        else:
            sample = _marker(number, 10, 7)
        drawn = Markup('<svg width="20" height="14" aria-hidden="true">{}</svg>').format(sample)
        items.append(Markup("<span>{} {}</span>").format(drawn, name))
    return Markup('<p class="legend">{}</p>').format(Markup("").join(items))


def _svg(title: str, described: str, parts: Sequence[Markup], height: float = HEIGHT) -> Markup:
    return Markup(
        '<svg viewBox="0 0 {} {}" role="img"><title>{}</title><desc>{}</desc>{}</svg>'
    ).format(WIDTH, height, title, described, Markup("").join(parts))


def _in_words(series: Sequence[Series]) -> str:
    """Return the values as text, for screen readers."""
    return "; ".join(
        f"{line.name}: " + ", ".join(f"{point.y:.4g}" for point in line.points) for line in series
    )


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(kind, x1, y1, x2, y2)


def _text(kind: str, x: float, y: float, text: str) -> Markup:
    return Markup('<text class="{}" x="{}" y="{}">{}</text>').format(kind, x, y, text)


def _polyline(kind: str, coordinates: Sequence[tuple[float, float]]) -> Markup:
    path = " ".join(f"{x},{y}" for x, y in coordinates)
    return Markup('<polyline class="{}" points="{}"/>').format(kind, path)


def _marker(number: int, x: float, y: float, *, hollow: bool = False) -> Markup:
    kind = f"s{number % SERIES} mark" + (" hollow" if hollow else "")
    shapes = (
        f"M{x - 3.5:.1f},{y:.1f}a3.5,3.5 0 1 0 7,0a3.5,3.5 0 1 0 -7,0z",  # a circle
        f"M{x - 3.2:.1f},{y - 3.2:.1f}h6.4v6.4h-6.4z",  # a square
        f"M{x:.1f},{y - 4.6:.1f}l4.6,4.6l-4.6,4.6l-4.6,-4.6z",  # a diamond
        f"M{x:.1f},{y - 4.2:.1f}l4,7h-8z",  # a triangle
    )
    return Markup('<path class="{}" d="{}"/>').format(escape(kind), shapes[number % len(shapes)])


def _ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Return round numbers that span the range.

    >>> _ticks(0.41, 0.63)
    [0.4, 0.45, 0.5, 0.55, 0.6, 0.65]
    """
    if low == high:
        low, high = low - 0.05, high + 0.05
    span = high - low
    power = 10.0 ** math.floor(math.log10(span / count))
    step = min((m * power for m in (1, 2, 2.5, 5, 10)), key=lambda s: abs(span / s - count))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]


def _labels(ticks: Sequence[float]) -> list[tuple[float, str]]:
    return [(tick, _short(tick)) for tick in ticks]


def _short(value: float) -> str:
    """Return a number short enough for an axis.

    >>> _short(0.25), _short(0.0015), _short(-0.25)
    ('0.25', '1.5e-3', '−0.25')
    """
    if 0 < abs(value) < 0.01:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:.4g}".replace("-", "−")


def _thinned(values: Sequence[float], most: int = 12) -> Sequence[float]:
    return values[:: math.ceil(len(values) / most)]


def _value_or(value: float | None, other: float) -> float:
    return other if value is None else value


def _mode(edges: Sequence[float], values: Sequence[float]) -> float:
    best = max(range(len(values)), key=lambda i: values[i])
    return (edges[best] + edges[best + 1]) / 2
