"""Sentences and phrases of the report."""

import re
from collections.abc import Mapping

from dotbogi.training.gate import LEVEL, Verdict
from dotbogi.training.ledger import Trained
from dotbogi.training.measure.bootstrap import Interval
from dotbogi.training.report.data import Round, RunReport
from dotbogi.training.report.feedback import FeedbackReport

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
LONGEST = 300  # characters shown of a text

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SPELT_OUT = 4  # after more rounds, only the kept ones get a sentence
_FEW = 100  # with fewer questions, only a large gain can be distinguished from chance


def verdict(report: RunReport) -> str:
    """Return the outcome of a run in one line."""
    kept, before = report.best.number, report.config["started_from"]
    if not report.ended:
        return "This run has not ended"
    if kept:
        return f"Round {kept} kept, published as generation {report.published}"
    if report.published and report.feedback and before:
        return f"No round kept; users' feedback published as generation {report.published}"
    if report.published and before:
        return f"No round kept; the run's table published as generation {report.published}"
    if report.published:
        return f"No round kept; the starting model published as generation {report.published}"
    return f"No round kept; generation {before} stays published"


def summary(report: RunReport) -> str:
    """Return the outcome of a run as one paragraph, for readers who do not know the metrics."""
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
    """Return a part of a whole as a number out of a hundred."""
    return round(100 * part / whole)


def shown_text(text: str, longest: int = LONGEST) -> str:
    """Return an answer or a question shortened, and without control characters."""
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def ordinal(rank: int | None) -> str:
    """Return a rank in words; None is beyond the tenth.

    >>> ordinal(2), ordinal(None)
    ('2nd', 'beyond 10th')
    """
    if rank is None:
        return "beyond 10th"
    return f"{rank}" + {1: "st", 2: "nd", 3: "rd"}.get(rank, "th")


def signed(value: float) -> str:
    """Return a difference with its sign and three decimals.

    >>> signed(0.0481), signed(-0.02), signed(-0.0001)
    ('+0.048', '−0.020', '0.000')
    """
    text = f"{value:+.3f}"
    return "0.000" if text[1:] == "0.000" else text.replace("-", "−")


def between(interval: Interval) -> str:
    """Return the ends of the interval of a difference."""
    return f"{signed(interval.low)} to {signed(interval.high)}"


def percent(probability: float) -> str:
    """Return a probability as a percentage; it comes from draws, so it is never 0% or 100%.

    >>> percent(0.9731), percent(1.0), percent(0.0)
    ('97.3%', 'over 99.9%', 'under 0.1%')
    """
    if probability > 0.999:
        return "over 99.9%"
    return "under 0.1%" if probability < 0.001 else f"{probability:.1%}"


def fit_name(fit: Trained) -> str:
    """Return the name of a fit."""
    part = "all questions" if fit.fold is None else f"without fold {fit.fold + 1}"
    return f"round {fit.round}, {part}"


def by_split(counts: Mapping[str, int]) -> str:
    """Return the number of questions by split, in words.

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
        f"{counts['train']:,} questions about {report.answers:,} answers"
        f"{' of the bundled sample' if sample else ''}"
    )
    sentences = [
        f"The {whole} were divided into {folds} groups (folds). Each group was searched with a "
        "model trained on the others."
        if folds > 1
        else f"Of the {whole}, one in ten was searched with a model trained on the others."
    ]
    if counts["test"]:
        sentences.append(f"Another {counts['test']:,} were held out for a final test.")
    return sentences


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
    sentences = [_round(round_) for round_ in tried if few or round_.measured.kept]
    dropped = sum(not round_.measured.kept for round_ in tried)
    if not few and dropped:
        sentences.append(f"{dropped} were dropped: their gains could be chance.")
    if tried and report.queries < _FEW:
        sentences.append(
            f"With only {report.queries} questions, only a large gain can be distinguished from "
            "chance."
        )
    return sentences


def _round(round_: Round) -> str:
    verdict, against = round_.measured.verdict, f"round {round_.measured.against}"
    assert verdict, "a round of training was judged"
    gain = verdict.gain
    if round_.measured.kept:
        return (
            f"Round {round_.number} was kept: right answers rank higher than with {against} "
            f"({_in_figures(gain)}). The gain is real with a probability of "
            f"{percent(verdict.probability)}."
        )
    if gain.low == gain.high == 0:
        return f"Round {round_.number} was dropped: it is neither better nor worse than {against}."
    if gain.high < 0:
        why = f"it was worse than {against}"
    elif gain.mean <= 0:
        why = f"it was no better than {against}"
    else:
        why = (
            f"its gain over {against} is real with a probability of only "
            f"{percent(verdict.probability)}, and {LEVEL:.0%} is required"
        )
    return f"Round {round_.number} was dropped: {why} ({_in_figures(gain)})."


def _of_whole(before: int, after: int, whole: int) -> tuple[int, int, int]:
    """Return two counts and their whole, scaled to a hundred unless the whole is smaller."""
    if whole < 100:
        return before, after, whole
    return of_hundred(before, whole), of_hundred(after, whole), 100


def _users(report: RunReport) -> list[str]:
    before, after, whole = _of_whole(report.rounds[0].first, report.best.first, report.queries)
    if report.best.number:
        return [
            f"Of {whole} questions, {after} now have a right answer in first place "
            f"(before training: {before})."
        ]
    return [f"Without training, {before} of {whole} questions have a right answer in first place."]


def _held_out(report: RunReport) -> list[str]:
    test = report.test
    if not test:
        return []
    before, after, whole = _of_whole(test.first_before, test.first_after, test.tested.queries)
    if not report.best.number:
        return [f"Among {whole} held-out questions, the number is {before}."]
    return [
        f"Among {whole} held-out questions, the number is {after} (before training: {before}): "
        f"{agreement(test.tested.verdict)} ({_in_figures(test.tested.verdict.gain)})."
    ]


def agreement(verdict: Verdict) -> str:
    """Return how the test relates to the gain."""
    if verdict.kept:
        return "the test agrees with the gain"
    if verdict.probability <= 1 - LEVEL:
        return "the test contradicts the gain, so check the model before you use it"
    return "the test alone cannot distinguish the gain from chance"


def feedback_summary(feedback: FeedbackReport) -> str:
    """Return the counts of users' votes as one paragraph."""
    counts, right = feedback.counts, feedback.counts["right"]
    if not counts["votes"]:
        return "No feedback was stored."
    notes = {
        "conflicting": "cancel each other out",
        "capped": "are over the limit per client",
        "unmatched": "are about answers that no longer exist",
    }
    left_out = [f"{counts[name]:,} {note}" for name, note in notes.items() if counts[name]]
    sentences = [
        f"Votes: {counts['votes']:,}, by {counts['clients']:,} "
        f"client{'s' * (counts['clients'] != 1)}; used: {counts['used']:,}"
        f"{'; ' if left_out else ''}{'; '.join(left_out)}.",
        f"Pairs of a query and an answer that a majority calls right: {sum(right.values()):,} "
        f"({by_split(right)}), {counts['added']:,} of them new; wrong: {counts['wrong']:,}. "
        f"Negatives from the wrong pairs in the first round: {feedback.negatives:,}.",
    ]
    notes = {
        "withdrawn": "Pairs from earlier feedback that were withdrawn",
        "overruled": "Pairs where the table or a review overrules the votes",
    }
    sentences += [f"{note}: {counts[name]:,}." for name, note in notes.items() if counts[name]]
    sentences += [
        f"MRR@10 of hybrid search on {asked.what} with answers from feedback "
        f"({asked.queries:,}): {asked.before:.3f} before, {asked.after:.3f} after."
        for asked in feedback.asked
    ]
    return " ".join(sentences)


def _publication(report: RunReport) -> list[str]:
    before = report.config["started_from"]
    if not report.ended:
        return [
            "The run has not ended: it is still running, or it was interrupted and can be resumed "
            "with `dotbogi train --resume`."
        ]
    if report.best.number:
        return [
            f"Round {report.best.number} was then trained again, on all "
            f"{report.started.counts['train']:,} questions in folds, and published as generation "
            f"{report.published}."
        ]
    if report.published and before and report.feedback:
        return [
            "The model stays the same; it was published with users' feedback as generation "
            f"{report.published}."
        ]
    if report.published and before:
        return [
            "The model stays the same; it was published with the run's questions and answers as "
            f"generation {report.published}."
        ]
    if report.published:
        return [
            "Nothing was published before, so the starting model was published as generation "
            f"{report.published}."
        ]
    return [f"Nothing was published: generation {before} stays, and nothing changes for users."]
