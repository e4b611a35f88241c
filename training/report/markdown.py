"""`report.md`: the short report, for a pull request."""

import re
from collections.abc import Iterable, Sequence

from dotbogi.search.fusion import METHODS
from dotbogi.training.measure.bootstrap import Interval
from dotbogi.training.measure.evaluation import METRICS
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
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # they turn what follows


def render_markdown(report: RunReport) -> str:
    """Return the report as GitHub's Markdown; report.html beside it tells more."""
    lines = [
        f"## {prose(report.run)}: {prose(verdict(report))}",
        "",
        prose(summary(report)),
        "",
        f"### Questions ({report.queries:,}), each by what was learned without it",
        "",
        *_figures_table([(f"round {each.number}", each.figures) for each in report.rounds]),
    ]
    if report.tried:
        lines += ["", "### Gate", "", *_gate_table(report)]
    if report.test:
        rows = [("before", report.test.before)]
        if report.best.number:
            rows.append((f"after round {report.best.number}", report.test.after))
        title = f"### Questions held out ({report.test.tested.queries:,}), looked at once"
        lines += ["", title, "", *_figures_table(rows)]
    if report.feedback:
        lines += ["", "### Feedback", "", prose(feedback_summary(report.feedback))]
    if report.comparison:
        lines += ["", *_comparison(report.comparison)]
    lines += ["", "In brackets: 95% intervals (bootstrap). More is in report.html.", ""]
    return "\n".join(lines)


def prose(text: str) -> str:
    r"""Return a text of ours, which may hold a name of theirs, without any markup in it.

    >>> prose("the model a|b*c*")
    'the model a\\|b\\*c\\*'
    """
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    r"""Return a question or an answer as a code span, where nothing is markup, link or mention.

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
        ["", "", *METRICS],
        [
            [label if method == METHODS[0] else "", method]
            + [cell(figures[method][metric]) for metric in METRICS]
            for label, figures in rows
            for method in METHODS
        ],
    )


def _gate_table(report: RunReport) -> list[str]:
    judged = [(each.measured, v) for each in report.tried if (v := each.measured.verdict)]
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
            f"{each.name}{' (few)' if 0 < each.queries < FEW else ''}",
            f"{each.queries:,}",
            "" if each.before is None else f"{each.before:.3f}",
            "" if each.after is None else f"{each.after:.3f}",
            _gain(each),
        ]
        for each in comparison.slices
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
            code(each.query),
            f"{ordinal(each.rank_before)} → {ordinal(each.rank_after)}",
            code(each.before[0].text) if each.before else "",
            code(each.after[0].text) if each.after else "",
        ]
        for each in changes[:SHOWN]
    ]
    head = ["question", "right answer", "first answer before", "first answer after"]
    return ["", f"{title}: {count:,}", "", *_table(head, rows)]
