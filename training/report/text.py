"""What happened in a run, in sentences."""

import re
from collections.abc import Mapping

from dotbogi.training.gate import LEVEL, Verdict
from dotbogi.training.ledger import Trained
from dotbogi.training.measure.bootstrap import Interval
from dotbogi.training.report.data import Round, RunReport
from dotbogi.training.report.feedback import FeedbackReport

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
LONGEST = 300  # characters of a text that are shown

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SPELT_OUT = 4  # rounds that get a sentence each
_FEW = 100  # questions, below which only a large gain is told from chance


def verdict(report: RunReport) -> str:
    """Return the outcome in one line."""
    kept, before = report.best.number, report.config["started_from"]
    if not report.ended:
        return "This run has not ended"
    if kept:
        return f"Round {kept} kept, published as generation {report.published}"
    if report.published and report.feedback and before:
        return f"No round kept; what users said published as generation {report.published}"
    if report.published and before:
        return f"No round kept; the run's table published as generation {report.published}"
    if report.published:
        return f"No round kept; the starting model published as generation {report.published}"
    return f"No round kept; generation {before} stays published"


def summary(report: RunReport) -> str:
    """Return what happened, as one paragraph for someone who knows no metric."""
    sentences = [
        *_questions(report),
        *_start(report),
        *_rounds(report),
        *_users(report),
        *_held_out(report),
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


def percent(probability: float) -> str:
    """Return a probability from draws, which never say that something is certain.

    >>> percent(0.9731), percent(1.0), percent(0.0)
    ('97.3%', 'over 99.9%', 'under 0.1%')
    """
    if probability > 0.999:
        return "over 99.9%"
    return "under 0.1%" if probability < 0.001 else f"{probability:.1%}"


def fit_name(fit: Trained) -> str:
    """Return which fit it was."""
    what = "all questions" if fit.fold is None else f"without fold {fit.fold + 1}"
    return f"round {fit.round}, {what}"


def by_split(counts: Mapping[str, int]) -> str:
    """Return in words where questions are.

    >>> by_split({"train": 3, "dev": 0, "test": 0})
    '3 in folds'
    """
    held_out = f", {counts['test']:,} held out" if counts["test"] else ""
    return f"{counts['train']:,} in folds{held_out}"


def _in_figures(gain: Interval) -> str:
    return f"MRR@10 {signed(gain.mean)}, 95% interval {between(gain)}"


def _questions(report: RunReport) -> list[str]:
    counts, folds = report.started.counts, report.config["folds"]
    sample = report.config["source"].get("table") == "bundled sample"
    whole = (
        f"{counts['train']:,} questions to {report.answers:,} answers"
        f"{' of the bundled sample' if sample else ''}"
    )
    said = [
        f"The {whole} are in {folds} groups (folds), and each group was searched with what was "
        "learned from the others."
        if folds > 1
        else f"Of the {whole}, one in ten was searched with what was learned from the others."
    ]
    if counts["test"]:
        said.append(f"Another {counts['test']:,} were held out for one final test.")
    return said


def _start(report: RunReport) -> list[str]:
    tried = len(report.tried)
    count = _NUMBERS[tried] if tried < len(_NUMBERS) else f"{tried}"
    return [
        f"The run started from the model {report.config['model']['name']} and tried {count} "
        f"round{'s' * (tried != 1)} of training."
    ]


def _rounds(report: RunReport) -> list[str]:
    tried = report.tried
    few = len(tried) <= _SPELT_OUT
    said = [_round(each) for each in tried if few or each.measured.kept]
    dropped = sum(not each.measured.kept for each in tried)
    if not few and dropped:
        said.append(f"{dropped} were dropped: their gains were not beyond chance.")
    if tried and report.queries < _FEW:
        said.append(
            f"With only {report.queries} questions, a gain has to be large to be told from chance."
        )
    return said


def _round(each: Round) -> str:
    verdict, against = each.measured.verdict, f"round {each.measured.against}"
    assert verdict, "a round of training was judged"
    gain = verdict.gain
    if each.measured.kept:
        return (
            f"Round {each.number} was kept: right answers stand higher than with {against} "
            f"({_in_figures(gain)}); the gain is real with a probability of "
            f"{percent(verdict.probability)}."
        )
    if gain.low == gain.high == 0:
        return f"Round {each.number} was dropped: it does no better or worse than {against}."
    if gain.high < 0:
        why = f"it was worse than {against}"
    elif gain.mean <= 0:
        why = f"it was no better than {against}"
    else:
        why = (
            f"its gain over {against} is real with a probability of only "
            f"{percent(verdict.probability)}; {LEVEL:.0%} are needed"
        )
    return f"Round {each.number} was dropped: {why} ({_in_figures(gain)})."


def _of_whole(before: int, after: int, whole: int) -> tuple[int, int, int]:
    """Return counts of a hundred; of fewer, as they are."""
    if whole < 100:
        return before, after, whole
    return of_hundred(before, whole), of_hundred(after, whole), 100


def _users(report: RunReport) -> list[str]:
    before, after, whole = _of_whole(report.rounds[0].first, report.best.first, report.queries)
    if report.best.number:
        return [
            f"Of {whole} questions {after} now find a right answer in first place; before training "
            f"it was {before}."
        ]
    return [f"Without training, {before} of {whole} questions find a right answer in first place."]


def _held_out(report: RunReport) -> list[str]:
    test = report.test
    if not test:
        return []
    before, after, whole = _of_whole(test.first_before, test.first_after, test.tested.queries)
    if not report.best.number:
        return [f"Of {whole} questions held out it is {before}."]
    return [
        f"Of {whole} questions held out it is {after}, and was {before}: "
        f"{agreement(test.tested.verdict)} ({_in_figures(test.tested.verdict.gain)})."
    ]


def agreement(verdict: Verdict) -> str:
    """Return whether the test agrees with the gain."""
    if verdict.kept:
        return "the test agrees with the gain"
    if verdict.probability <= 1 - LEVEL:
        return "the test contradicts the gain, so look before this is used"
    return "by itself the test cannot tell the gain from chance"


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
        f"({by_split(right)}), {counts['added']:,} of them new; wrong: {counts['wrong']:,}, from "
        f"which {feedback.negatives:,} negatives of the first round come.",
    ]
    notes = {
        "withdrawn": "Known from feedback before, and withdrawn",
        "overruled": "Left as the table or a review has them",
    }
    said += [f"{note}: {counts[name]:,}." for name, note in notes.items() if counts[name]]
    said += [
        f"MRR@10 of hybrid search on {asked.what} with an answer from users "
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
    if report.best.number:
        return [
            f"Round {report.best.number} was then learned once more, from all "
            f"{report.started.counts['train']:,} questions in folds, and published as generation "
            f"{report.published}."
        ]
    if report.published and before and report.feedback:
        return [
            "The model stays, and was published with what users have said about answers as "
            f"generation {report.published}."
        ]
    if report.published and before:
        return [
            "The model stays, and was published with the run's questions and answers as generation "
            f"{report.published}."
        ]
    if report.published:
        return [
            "As nothing had been published before, that model was published as generation "
            f"{report.published}."
        ]
    return [f"Nothing was published: generation {before} stays, and nothing changes for users."]
