"""What happened in a run, in sentences."""

import re
from collections.abc import Mapping
from typing import Any

from training.measure.bootstrap import Interval
from training.report.data import Round, RunReport
from training.report.feedback import FeedbackReport
from training.run import FEW_QUERIES

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
LONGEST = 300  # characters of a text that are shown

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SPELT_OUT = 4  # rounds that get a sentence each


def verdict(report: RunReport) -> str:
    """Return the outcome in one line."""
    if not report.ended:
        return "This run has not ended"
    if report.kept_round:
        return f"Round {report.kept_round} kept, published as generation {report.published}"
    if report.published and report.feedback and report.config["started_from"]:
        return f"No round kept; what users said published as generation {report.published}"
    if report.published:
        return f"No round kept; the starting model published as generation {report.published}"
    return f"No round kept; generation {report.config['started_from']} stays published"


def summary(report: RunReport) -> str:
    """Return what happened, as one paragraph for someone who knows no metric."""
    sentences = [
        *_questions(report),
        *_start(report),
        *_rounds(report),
        *_users(report),
        *_publication(report),
    ]
    return " ".join(sentences)


def of_hundred(part: int, whole: int) -> int:
    """Return how many of a hundred."""
    return round(100 * part / whole)


def shown_text(text: str) -> str:
    """Return an answer or a question as it is shown: cut, and without control characters."""
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def ordinal(rank: int | None) -> str:
    """Return a place as people say it; None is beyond those that are looked at.

    >>> ordinal(2), ordinal(None)
    ('2nd', 'beyond 10th')
    """
    if rank is None:
        return "beyond 10th"
    return f"{rank}" + {1: "st", 2: "nd", 3: "rd"}.get(rank, "th")


def signed(value: float) -> str:
    """Return a difference as people read it.

    >>> signed(0.0481), signed(-0.02), signed(-0.0001)
    ('+0.048', '−0.020', '0.000')
    """
    text = f"{value:+.3f}"
    return "0.000" if text[1:] == "0.000" else text.replace("-", "−")


def between(interval: Interval) -> str:
    """Return the ends of an interval of a difference."""
    return f"{signed(interval.low)} to {signed(interval.high)}"


def _in_figures(gain: Interval) -> str:
    return f"MRR@10 {signed(gain.mean)}, 95% interval {between(gain)}"


def _questions(report: RunReport) -> list[str]:
    counts, source = report.started["questions"], report.config["source"].get("table")
    table = " of the bundled sample" if source == "bundled sample" else ""
    return [
        f"The {sum(counts.values()):,} questions to {report.answers:,} answers{table} were split "
        f"into {counts['train']:,} to train on, {counts['dev']:,} to choose by (development) and "
        f"{counts['test']:,} for one final test."
    ]


def _start(report: RunReport) -> list[str]:
    name, first, tried = report.config["model"]["name"], report.rounds[0], len(report.tried)
    if report.trained_before:
        start = (
            f"the model of generation {report.config['started_from']}, which had been trained "
            f"before on {report.trained_before:,} questions,"
        )
    else:
        start = f"the model {name}"
    count = _NUMBERS[tried] if tried < len(_NUMBERS) else f"{tried}"
    said = [
        f"The run started from {start} and tried {count} round{'s' * (tried != 1)} of training."
    ]
    if report.incumbent:
        said.append(
            f"Generation {report.incumbent['generation']}, which was published, is better than "
            f"that model on the development questions (MRR@10 {_mrr(report.incumbent):.3f} against "
            f"{_mrr(first.facts):.3f}), so a round had to beat generation "
            f"{report.incumbent['generation']}."
        )
    return said


def _mrr(facts: Mapping[str, Any]) -> float:
    return float(facts["metrics"]["hybrid"]["MRR@10"])


def _rounds(report: RunReport) -> list[str]:
    tried = report.tried
    spelt_out = tried if len(tried) <= _SPELT_OUT else [each for each in tried if each.kept]
    said = [_round(each) for each in spelt_out]
    dropped = sum(not each.kept for each in tried)
    if len(tried) > _SPELT_OUT and dropped:
        said.append(f"{dropped} were dropped: their gains were not beyond chance.")
    if tried and report.dev_queries < FEW_QUERIES:
        said.append(
            f"With only {report.dev_queries} development questions, a gain has to be large to be "
            "told from chance."
        )
    return said


def _round(each: Round) -> str:
    assert each.gain, "a round of training was compared"
    if each.kept:
        return (
            f"Round {each.number} was kept: on the development questions right answers stand "
            f"higher than with {each.against} ({_in_figures(each.gain)}), which is hardly chance."
        )
    if each.gain.low == each.gain.high == 0:
        return f"Round {each.number} was dropped: it does no better or worse than {each.against}."
    why = "it was worse than" if each.gain.high < 0 else "chance can explain its difference to"
    return f"Round {each.number} was dropped: {why} {each.against} ({_in_figures(each.gain)})."


def _users(report: RunReport) -> list[str]:
    test = report.test
    if not test:
        return []
    before, after, whole = test.first_before, test.first_after, test.queries
    if whole >= 100:
        before, after, whole = of_hundred(before, whole), of_hundred(after, whole), 100
    unmeasured = []
    if report.incumbent:
        name = report.incumbent["generation"]
        unmeasured = [f"Generation {name} was not measured on the test questions."]
    if not report.kept_round:
        return [
            f"With the model that the run started from, {before} of {whole} test questions find a "
            "right answer in first place.",
            *unmeasured,
        ]
    if test.gain.low > 0:
        says = "the test agrees with the gain"
    elif test.gain.high < 0:
        says = "but the test contradicts the gain: look before this is used"
    else:
        says = "by itself the test cannot tell the gain from chance"
    return [
        f"Of {whole} test questions {after} now find a right answer in first place; with the model "
        f"that the run started from it was {before}; {says} ({_in_figures(test.gain)}).",
        *unmeasured,
    ]


def feedback_summary(feedback: FeedbackReport) -> str:
    """Return what users' votes came to, as one paragraph."""
    counts, right = feedback.counts, feedback.counts["right"]
    if not counts["votes"]:
        return "No feedback was stored."
    notes = {
        "conflicting": "contradict each other in equal number",
        "capped": "are beyond the number that one client has",
        "unmatched": "are about answers that are gone",
    }
    left_out = [f"{counts[name]:,} {note}" for name, note in notes.items() if counts[name]]
    said = [
        f"Votes: {counts['votes']:,}, of {counts['clients']:,} "
        f"client{'s' * (counts['clients'] != 1)}; used: {counts['used']:,}"
        f"{'; ' if left_out else ''}{', '.join(left_out)}.",
        f"Pairs of a query and an answer that are right by majority: {sum(right.values()):,} "
        f"({right['train']:,} to train on, {right['dev']:,} development, {right['test']:,} test), "
        f"{counts['added']:,} of them new; wrong: {counts['wrong']:,}, from which "
        f"{feedback.negatives:,} negatives of the first round come.",
    ]
    notes = {
        "withdrawn": "Known from feedback before, and withdrawn",
        "overruled": "Left as the table or a review has them",
    }
    said += [f"{note}: {counts[name]:,}." for name, note in notes.items() if counts[name]]
    said += [
        f"MRR@10 of hybrid search on {asked.split} questions with an answer from users "
        f"({asked.queries:,}): {asked.before:.3f} before, {asked.after:.3f} after."
        for asked in feedback.asked
    ]
    return " ".join(said)


def _publication(report: RunReport) -> list[str]:
    before = report.config["started_from"]
    if not report.ended:
        return [
            "The run has not ended: it is still going on, or it was cut off and "
            "`dotbogi train --resume` goes on with it."
        ]
    if report.kept_round:
        return [
            f"The model of round {report.kept_round} was published as generation "
            f"{report.published}."
        ]
    if report.published and before and report.feedback:
        return [
            "The model stays, and was published with what users have said about answers as "
            f"generation {report.published}."
        ]
    if report.published and before:
        return [
            "The model stays; the weights of its hybrid search and its confidence were fitted, and "
            f"published with it as generation {report.published}."
        ]
    if report.published:
        return [
            "As nothing had been published before, that model was published as generation "
            f"{report.published}."
        ]
    return [f"Nothing was published: generation {before} stays, and nothing changes for users."]
