"""`report.md`: the short report, for a pull request."""

import re
from collections.abc import Iterable, Sequence

from search.fusion import METHODS
from training.measure.bootstrap import Interval
from training.measure.evaluation import METRICS
from training.report.comparison import FEW, Change, Comparison
from training.report.data import Figures, RunReport
from training.report.text import (
    between,
    feedback_summary,
    ordinal,
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
        f"### Development questions ({report.dev_queries:,})",
        "",
        *_figures_table(_dev_rows(report)),
    ]
    if report.tried:
        lines += ["", "### Gate", "", *_gate_table(report)]
    if report.test:
        rows = [("before", report.test.before)]
        if report.kept_round:
            rows.append((f"after round {report.kept_round}", report.test.after))
        title = f"### Test questions ({report.test.queries:,}), looked at once"
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


def _dev_rows(report: RunReport) -> list[tuple[str, Figures]]:
    rows = [(f"round {each.number}", each.figures) for each in report.rounds]
    if report.incumbent and report.incumbent_figures:
        rows.insert(0, (f"generation {report.incumbent['generation']}", report.incumbent_figures))
    return rows


def _gate_table(report: RunReport) -> list[str]:
    return _table(
        ["round", "against", "gain in MRR@10 of hybrid search", "decision"],
        [
            [
                f"{each.number}",
                each.against,
                _gain(each.gain),
                "kept" if each.kept else "dropped",
            ]
            for each in report.tried
        ],
    )


def _gain(gain: Interval | None) -> str:
    return f"{signed(gain.mean)} ({between(gain)})" if gain else ""


def _comparison(comparison: Comparison) -> list[str]:
    slices = [
        [
            f"{each.name}{' (few)' if 0 < each.queries < FEW else ''}",
            f"{each.queries:,}",
            "" if each.before is None else f"{each.before:.3f}",
            "" if each.after is None else f"{each.after:.3f}",
            _gain(each.gain),
        ]
        for each in comparison.slices
    ]
    return [
        f"### Round 0 → round {comparison.round}, {comparison.split} questions",
        "",
        *_table(["questions", "count", "before", "after", "gain in MRR@10"], slices),
        *_changes("Better", comparison.better, comparison.better_count),
        *_changes("Worse", comparison.worse, comparison.worse_count),
    ]


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
