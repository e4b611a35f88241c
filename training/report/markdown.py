"""`report.md`: the short report, for a pull request."""

import re
from collections.abc import Iterable, Sequence

from dotbogi.search.fusion import METHODS
from dotbogi.training.measure.bootstrap import Interval
from dotbogi.training.report.comparison import FEW, Change, Comparison, Slice
from dotbogi.training.report.data import Figures, RunReport
from dotbogi.training.report.text import (
    between,
    feedback_summary,
    ordinal,
    percent,
    shown_text,
    signed,
    summary,
    verdict,
)

SHOWN = 5  # queries that got better, and as many that got worse

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#&$])")
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # change the text direction


def render_markdown(report: RunReport) -> str:
    """Return the report as GitHub Markdown; report.html has more."""
    lines = [
        f"## {prose(report.run)}: {prose(verdict(report))}",
        "",
        prose(summary(report)),
        "",
        f"### Questions ({report.queries:,}), each searched with a model trained without it",
        "",
        *_figures_table([(f"round {round_.number}", round_.figures) for round_ in report.rounds]),
    ]
    if report.tried:
        lines += ["", "### Gate", "", *_gate_table(report)]
    if report.test:
        rows = [("before", report.test.before)]
        if report.best.number:
            rows.append((f"after round {report.best.number}", report.test.after))
        title = f"### Held-out questions ({report.test.tested.queries:,}), searched once"
        lines += ["", title, "", *_figures_table(rows)]
    if report.feedback:
        lines += ["", "### Feedback", "", prose(feedback_summary(report.feedback))]
    if report.comparison:
        lines += ["", *_comparison(report.comparison)]
    lines += ["", "In parentheses: 95% intervals (bootstrap). See report.html for more.", ""]
    return "\n".join(lines)


def prose(text: str) -> str:
    r"""Return a text of the report, which may contain names from users, with markup escaped.

    >>> prose("the model a|b*c*")
    'the model a\\|b\\*c\\*'
    """
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    r"""Return a question or an answer as a code span, which has no markup, links or mentions.

    >>> code("a|b `c`")
    '`` a\\|b `c` ``'
    """
    text = _BIDI.sub("\N{REPLACEMENT CHARACTER}", " ".join(shown_text(text).split()))
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    inner = f" {text} " if longest else text
    return fence + inner.replace("|", "\\|") + fence


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _figures_table(rows: Sequence[tuple[str, Figures]]) -> list[str]:
    def cell(interval: Interval) -> str:
        return f"{interval.mean:.3f} ({interval.low:.3f}–{interval.high:.3f})"

    return _table(
        ["", "", *rows[0][1]["hybrid"]],
        [
            [label if method == METHODS[0] else "", method]
            + [cell(interval) for interval in figures[method].values()]
            for label, figures in rows
            for method in METHODS
        ],
    )


def _gate_table(report: RunReport) -> list[str]:
    judged = [(r.measured, v) for r in report.tried if (v := r.measured.verdict)]
    return _table(
        [
            "round",
            "against",
            "gain in MRR@10 of hybrid search",
            "probability of a gain",
            "decision",
        ],
        [
            [
                f"{measured.round}",
                f"round {measured.against}",
                f"{signed(verdict.gain.mean)} ({between(verdict.gain)})",
                percent(verdict.probability),
                "kept" if measured.kept else "dropped",
            ]
            for measured, verdict in judged
        ],
    )


def _comparison(comparison: Comparison) -> list[str]:
    slices = [
        [
            f"{part.name}{' (few)' if 0 < part.queries < FEW else ''}",
            f"{part.queries:,}",
            "" if part.before is None else f"{part.before:.3f}",
            "" if part.after is None else f"{part.after:.3f}",
            _gain(part),
        ]
        for part in comparison.slices
    ]
    return [
        f"### Round 0 → round {comparison.round}{'' if comparison.kept else ' (dropped)'}",
        "",
        *_table(["questions", "count", "before", "after", "gain in MRR@10"], slices),
        *_changes("Better", comparison.better, comparison.better_count),
        *_changes("Worse", comparison.worse, comparison.worse_count),
    ]


def _gain(part: Slice) -> str:
    if part.gain is None:
        return ""
    return signed(part.gain) + (f" ({between(part.interval)})" if part.interval else "")


def _changes(title: str, changes: Sequence[Change], count: int) -> list[str]:
    if not changes:
        return ["", f"{title}: none."]
    rows = [
        [
            code(change.query),
            f"{ordinal(change.rank_before)} → {ordinal(change.rank_after)}",
            code(change.before[0].text) if change.before else "",
            code(change.after[0].text) if change.after else "",
        ]
        for change in changes[:SHOWN]
    ]
    head = ["question", "right answer", "first answer before", "first answer after"]
    return ["", f"{title}: {count:,}", "", *_table(head, rows)]
