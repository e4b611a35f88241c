"""What a run or an evaluation came to, as lines for a person at a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from training.measure.calibration import FEWEST, FEWEST_OF_EACH
from training.measure.evaluation import METRICS
from training.run import LoopResult
from training.scored.run import SimilarityResult

Metrics = Mapping[str, Mapping[str, float]]  # method → metric → mean


def metrics_table(rows: Mapping[str, Metrics]) -> list[str]:
    """Return a table of figures: a line for each label and method, a column for each metric."""
    width = max(map(len, rows))
    lines = [f"{'':{width}}  {'':7}" + "".join(f"{metric:>11}" for metric in METRICS)]
    for label, methods in rows.items():
        for number, (method, metrics) in enumerate(methods.items()):
            figures = "".join(f"{metrics[metric]:11.3f}" for metric in METRICS)
            lines.append(f"{label if number == 0 else '':{width}}  {method:7}{figures}")
    return lines


def loop_lines(result: LoopResult) -> list[str]:
    """Return the rounds' table, the test table and what was published."""
    counts, test = result.counts, result.test
    lines = [
        f"{result.run}: {counts['train']} train, {counts['dev']} development, "
        f"{counts['test']} test questions",
        *review_lines(result.review),
        *(feedback_lines(result.feedback) if result.feedback else []),
        "",
        "development questions, round by round",
        *metrics_table({_round_label(entry): entry["metrics"] for entry in result.dev}),
        "",
        "test questions, looked at once",
    ]
    rows: dict[str, Metrics] = {"round 0": test["base"]}
    if test["kept_round"]:
        rows[f"round {test['kept_round']}"] = test["kept"]
    for label, part in test["slices"].items():
        if part["queries"] and len(test["slices"]) > 1:
            rows[f"{label} ({part['queries']})"] = part["metrics"]
    interval = test["interval"]
    lines += [
        *metrics_table(rows),
        "",
        f"test gain of hybrid MRR@10 over round 0: {interval['mean']:+.3f} "
        f"(95% interval {interval['low']:+.3f} to {interval['high']:+.3f})",
    ]
    if confidence := test["confidence"]:
        lines.append(_confidence_line(confidence))
    else:
        lines.append(
            f"no confidence: of {result.dev[-1]['queries']} development questions too few are "
            f"answered right or wrong (at least {FEWEST}, {FEWEST_OF_EACH} of each)"
        )
    return [*lines, result.ended_early] if result.ended_early else lines


def review_lines(counts: Mapping[str, Any]) -> list[str]:
    """Return what became of the decisions about suspects; nothing if there were none."""
    accepted = counts["accepted"]
    parts = [
        f"{sum(accepted.values())} accepted ({accepted['train']} train)",
        f"{counts['rejected']} rejected",
    ]
    notes = {
        "rejected_used": "negatives from these",
        "withdrawn": "accepted before and rejected now",
        "overruled": "rejected but in the table",
        "unmatched": "not in this collection",
    }
    parts += [f"{counts[name]} {note}" for name, note in notes.items() if counts.get(name)]
    decided = any(accepted.values()) or any(counts[n] for n in counts if n != "accepted")
    return ["review: " + ", ".join(parts)] if decided else []


def feedback_lines(counts: Mapping[str, Any]) -> list[str]:
    """Return what became of users' votes."""
    if not counts["votes"]:
        return ["feedback: none is stored"]
    notes = {
        "conflicting": "conflicting",
        "capped": "beyond what one client may cast",
        "unmatched": "about answers that are gone",
    }
    votes = [f"{counts['used']} used"]
    votes += [f"{counts[name]} {note}" for name, note in notes.items() if counts[name]]
    right = counts["right"]
    pairs = [
        f"{sum(right.values())} right ({right['train']} train, {right['dev']} development, "
        f"{right['test']} test; {counts['added']} new)",
        f"{counts['wrong']} wrong ({counts['negatives_used']} negatives from these)",
    ]
    notes = {"withdrawn": "known before and withdrawn", "overruled": "overruled by the table"}
    pairs += [f"{counts[name]} {note}" for name, note in notes.items() if counts[name]]
    return [
        f"feedback: {counts['votes']} votes of {counts['clients']} clients: {', '.join(votes)}",
        f"feedback: of the pairs, {', '.join(pairs)}",
    ]


def yield_lines(yields: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return a table of what each source gave."""
    names = next(iter(yields.values()), {})
    lines = [f"{'':6}" + "".join(f"{name.replace('_', ' '):>12}" for name in names)]
    return lines + [
        f"{source:6}" + "".join(f"{count:12}" for count in counts.values())
        for source, counts in yields.items()
    ]


def _confidence_line(confidence: Mapping[str, Any]) -> str:
    if confidence["threshold"] > 1:
        return "confidence: no share of the development questions was 90% right; none to advise"
    return (
        f"confidence: at {confidence['threshold']:.2f} and above, {confidence['coverage']:.0%} of "
        f"the test questions, {confidence['precision']:.0%} of their first answers right "
        f"(fitted for 90%; calibration error {confidence['ece']:.3f})"
    )


def threshold_lines(rows: Sequence[Mapping[str, float | None]]) -> list[str]:
    """Return what each confidence asked for would do, a line a threshold."""
    lines = [f"{'--min-confidence':>16}{'answered':>10}{'right':>8}"]
    for row in rows:
        right = f"{row['precision']:8.0%}" if row["precision"] is not None else f"{'-':>8}"
        lines.append(f"{row['threshold']:16.1f}{row['coverage']:10.0%}{right}")
    return lines


def run_lines(result: LoopResult | SimilarityResult) -> list[str]:
    """Return what any run came to."""
    return loop_lines(result) if isinstance(result, LoopResult) else similarity_lines(result)


def similarity_lines(result: SimilarityResult) -> list[str]:
    """Return Spearman before and after, on development and test pairs."""
    counts, test = result.counts, result.test
    before, after = result.dev
    kept = "kept" if after["kept"] else "dropped"
    shown = f"{test['kept']:10.3f}" if after["kept"] else ""
    lines = [
        f"{result.run}: {counts['train']} train, {counts['dev']} development, "
        f"{counts['test']} test pairs",
        "",
        f"{'Spearman':16}{'development':>11}{'test':>10}",
        f"{'before':16}{before['spearman']:11.3f}{test['base']:10.3f}",
        f"{f'trained, {kept}':16}{after['spearman']:11.3f}{shown}",
    ]
    gains = {"development": after["interval"]}
    if after["kept"]:
        gains["test"] = test["interval"]
    return lines + [
        f"{name} gain: {gain['mean']:+.3f} (95% interval {gain['low']:+.3f} to {gain['high']:+.3f})"
        for name, gain in gains.items()
    ]


def _round_label(entry: Mapping[str, Any]) -> str:
    if entry["round"] == 0:
        return "round 0"
    return f"round {entry['round']} {'kept' if entry['kept'] else 'dropped'}"
