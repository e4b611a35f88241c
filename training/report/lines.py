"""The outcome of a run or an evaluation, as lines for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from dotbogi.training.ledger import Measured, Metrics, Tested
from dotbogi.training.measure.metrics import METRICS
from dotbogi.training.measure.reliability import ConfidenceQuality
from dotbogi.training.measure.spearman import SPEARMAN
from dotbogi.training.report.text import by_split, percent
from dotbogi.training.rounds import RunResult


def metrics_table(rows: Mapping[str, Metrics]) -> list[str]:
    """Return a table of metrics, with a line for each label and method.

    The columns are the metrics that all lines have, in the order of METRICS.
    """
    width = max(map(len, rows))
    measured = [means for methods in rows.values() for means in methods.values()]
    metrics = [metric for metric in METRICS if all(metric in means for means in measured)]
    lines = [f"{'':{width}}  {'':7}" + "".join(f"{metric:>11}" for metric in metrics)]
    for label, methods in rows.items():
        for number, (method, means) in enumerate(methods.items()):
            figures = "".join(f"{means[metric]:11.3f}" for metric in metrics)
            lines.append(f"{label if number == 0 else '':{width}}  {method:7}{figures}")
    return lines


def run_lines(result: RunResult) -> list[str]:
    """Return the outcome of a run."""
    scored = "hybrid" not in result.rounds[0].metrics
    lines = _scored_lines(result) if scored else _question_lines(result)
    return [*lines, result.ended_early] if result.ended_early else lines


def _question_lines(result: RunResult) -> list[str]:
    started, best = result.started, _best(result.rounds)
    counts, folds = started.counts, started.config["folds"]
    divided = f" in {folds} folds" if folds > 1 else ", one in ten measured"
    held_out = f", {counts['test']} held out" if counts["test"] else ""
    lines = [
        f"{result.run}: {counts['train']} questions{divided}{held_out}",
        *(review_lines(started.review) if started.review else []),
        *(feedback_lines(started.feedback) if started.feedback else []),
        "",
        f"{best.queries} questions, each searched with a model trained without it",
        *metrics_table({f"round {event.round}": event.metrics for event in result.rounds}),
        *_gate_lines(result.rounds),
    ]
    kinds = {
        f"{name} ({part['queries']})": part["metrics"]
        for name, part in best.slices.items()
        if part["queries"]
    }
    if len(kinds) > 1:
        lines += ["", f"kinds of questions, round {best.round}", *metrics_table(kinds)]
    if best.confidence:
        lines += ["", _confidence_line(best.confidence)]
        lines += threshold_lines(best.confidence.thresholds)
    return lines + (_test_lines(result.test) if result.test else [])


def _best(rounds: Sequence[Measured]) -> Measured:
    """Return the last round that was kept; round 0 if none was."""
    return [event for event in rounds if event.kept][-1]


def _gate_lines(rounds: Sequence[Measured]) -> list[str]:
    return [
        f"round {event.round}: gain {verdict.gain} over round {event.against}, "
        f"P(gain > 0) {percent(verdict.probability)}: {'kept' if event.kept else 'dropped'}"
        for event in rounds
        if (verdict := event.verdict)
    ]


def _test_lines(test: Tested) -> list[str]:
    rows: dict[str, Metrics] = {"round 0": test.before}
    if test.kept_round:
        rows[f"round {test.kept_round}"] = test.after
    lines = ["", f"{test.queries} held-out questions, searched once", *metrics_table(rows)]
    if test.kept_round:
        probability = percent(test.verdict.probability)
        lines.append(f"gain {test.verdict.gain} over round 0, P(gain > 0) {probability}")
    return lines


def _confidence_line(confidence: ConfidenceQuality) -> str:
    if not confidence.coverage:
        return f"confidence: no first answer reaches {confidence.threshold:.2f}"
    return (
        f"confidence: {confidence.coverage:.0%} of the first answers reach "
        f"{confidence.threshold:.2f} (--min-confidence auto), {confidence.precision:.0%} of these "
        f"are right; calibration error {confidence.ece:.3f}"
    )


def _scored_lines(result: RunResult) -> list[str]:
    """Return Spearman before and after, on the dev pairs and on the test pairs."""
    counts, test = result.started.counts, result.test
    assert test, "scored pairs are always held out"
    best = _best(result.rounds)
    lines = [
        f"{result.run}: {counts['train']} train pairs, {counts['dev']} dev, {counts['test']} test",
        "",
        f"{SPEARMAN:10}{'dev':>10}{'test':>10}",
    ]
    for event in result.rounds:
        tested = test.after if event.round else test.before
        # A dropped round is not tested.
        shown = f"{tested['dense'][SPEARMAN]:10.3f}" if event.kept else ""
        lines.append(f"{f'round {event.round}':10}{event.metrics['dense'][SPEARMAN]:10.3f}{shown}")
    lines += _gate_lines(result.rounds)
    if best.round:
        probability = percent(test.verdict.probability)
        lines.append(f"test: gain {test.verdict.gain} over round 0, P(gain > 0) {probability}")
    return lines


def review_lines(counts: Mapping[str, Any]) -> list[str]:
    """Return the counts of the decisions about suspects; no line if there were none."""
    accepted = counts["accepted"]
    held_out = f" ({accepted['test']} held out)" if accepted["test"] else ""
    parts = [
        f"{sum(accepted.values())} accepted{held_out}",
        f"{counts['rejected']} rejected",
    ]
    notes = {
        "withdrawn": "known before, rejected now",
        "overruled": "rejected but kept, because the table has them",
        "unmatched": "not in this collection",
    }
    parts += [f"{counts[name]} {note}" for name, note in notes.items() if counts[name]]
    decided = any(accepted.values()) or any(counts[n] for n in counts if n != "accepted")
    return ["review: " + ", ".join(parts)] if decided else []


def feedback_lines(counts: Mapping[str, Any]) -> list[str]:
    """Return the counts of users' votes."""
    if not counts["votes"]:
        return ["feedback: no votes stored"]
    notes = {
        "conflicting": "conflicting",
        "capped": "over the limit per client",
        "unmatched": "about answers that no longer exist",
    }
    votes = [f"{counts['used']} used"]
    votes += [f"{counts[name]} {note}" for name, note in notes.items() if counts[name]]
    right = counts["right"]
    pairs = [
        f"{sum(right.values())} right ({by_split(right)}; {counts['added']} new)",
        f"{counts['wrong']} wrong ({counts['negatives']} for questions in folds)",
    ]
    notes = {
        "withdrawn": "withdrawn (from earlier feedback)",
        "overruled": "overruled by the table or a review",
    }
    pairs += [f"{counts[name]} {note}" for name, note in notes.items() if counts[name]]
    return [
        f"feedback: {counts['votes']} votes of {counts['clients']} clients: {', '.join(votes)}",
        f"feedback, pairs: {', '.join(pairs)}",
    ]


def yield_lines(yields: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return a table of the yields of each source."""
    names = next(iter(yields.values()), {})
    lines = [f"{'':6}" + "".join(f"{name.replace('_', ' '):>12}" for name in names)]
    return lines + [
        f"{source:6}" + "".join(f"{count:12}" for count in counts.values())
        for source, counts in yields.items()
    ]


def threshold_lines(rows: Sequence[Mapping[str, float | None]]) -> list[str]:
    """Return coverage and precision at each threshold, one line per threshold."""
    lines = [f"{'--min-confidence':>16}{'answered':>10}{'right':>8}"]
    for row in rows:
        right = f"{row['precision']:8.0%}" if row["precision"] is not None else f"{'-':>8}"
        lines.append(f"{row['threshold']:16.1f}{row['coverage']:10.0%}{right}")
    return lines
