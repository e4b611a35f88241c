"""`report.html`: one self-contained file, in which all texts are escaped."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from dotbogi.search.calibration import KEPT
from dotbogi.search.candidates import PARTS
from dotbogi.search.fusion import METHODS
from dotbogi.training.gate import LEVEL
from dotbogi.training.ledger import Event, Mined, Trained
from dotbogi.training.measure.bootstrap import Interval
from dotbogi.training.report.charts import (
    Point,
    Series,
    gain_chart,
    histogram,
    legend,
    line_chart,
    reliability_chart,
    round_chart,
)
from dotbogi.training.report.comparison import FEW
from dotbogi.training.report.data import RunReport
from dotbogi.training.report.mined import SHOWN, SHOWN_OF_ONE
from dotbogi.training.report.templates import open_templates
from dotbogi.training.report.text import (
    agreement,
    between,
    feedback_summary,
    fit_name,
    of_hundred,
    ordinal,
    percent,
    shown_text,
    signed,
    summary,
    verdict,
)

CHARTED = ("MRR@10", "recall@1", "recall@5", "recall@10")

_CURVES = {"loss": "Training loss", "learning_rate": "Learning rate"}  # in a fit's log
_YIELDS = {"asked": "asked for", "kept": "found", "over_bound": "over the bound"}


def render_html(report: RunReport) -> str:
    """Return the page: no script, no network, light or dark by the reader's setting."""
    templates = open_templates(
        text=shown_text,
        figure=figure,
        ends=ends,
        signed=signed,
        between=between,
        ordinal=ordinal,
        percent=percent,
        fit_name=fit_name,
        flat=flat,
    )
    page = templates.get_template("page.html.jinja")
    return page.render(
        report=report,
        verdict=verdict(report),
        summary=summary(report),
        methods=METHODS,
        parts=PARTS,
        few=FEW,
        level=LEVEL,
        threshold_share=KEPT,
        agreement=agreement,
        fit_settings=list(dict.fromkeys(name for fit in report.fits for name in fit.settings)),
        steps=[_step(event) for event in report.events],
        suspects_shown=SHOWN,
        suspects_of_one=SHOWN_OF_ONE,
        feedback_summary=feedback_summary(report.feedback) if report.feedback else "",
        yields=_yields(report),
        of_hundred=of_hundred,
        charts=_charts(report),
        method_legend=legend(METHODS),
    )


def figure(value: float) -> str:
    """Return a metric with three decimals."""
    return f"{value:.3f}"


def ends(interval: Interval) -> str:
    """Return the ends of the interval of a mean.

    >>> ends(Interval(0.5, 0.41, 0.6))
    '0.410–0.600'
    """
    return f"{interval.low:.3f}–{interval.high:.3f}"


def flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested settings as pairs of a name and a value.

    >>> flat({"seed": 42, "mining": {"window": 50}})
    [('seed', '42'), ('mining.window', '50')]
    """
    lines: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            lines += flat(value, f"{prefix}{name}.")
        else:
            lines.append((f"{prefix}{name}", "–" if value is None else f"{value}"))
    return lines


def _yields(report: RunReport) -> tuple[dict[str, str], list[tuple[int, str, Mapping[str, int]]]]:
    """Return the columns ({key: name}) and the rows of the table of yields."""
    rows = [
        (mining.number, source, counts)
        for mining in report.minings
        for source, counts in mining.yields.items()
        if any(counts.values())
    ]
    keys = dict.fromkeys([*_YIELDS, *(key for *_, counts in rows for key in counts)])
    return {key: _YIELDS.get(key, key.replace("_", " ")) for key in keys}, rows


def _step(event: Event) -> tuple[str, str, str, str, float | None]:
    """Return the time, name, round, fold and seconds of a step."""
    fold = ""
    if isinstance(event, Mined | Trained):
        fold = "all" if event.fold is None else f"{event.fold + 1}"
    number = f"{getattr(event, 'round', '')}"
    return event.time, event.name, number, fold, getattr(event, "seconds", None)


def _charts(report: RunReport) -> dict[str, Any]:
    return {
        "rounds": [(metric, _round_chart(report, metric)) for metric in CHARTED],
        "gains": _gain_chart(report),
        "fits": _fit_charts(report),
        "fit_legend": legend([fit_name(fit) for fit in report.fits]),
        "cosines": _cosine_charts(report),
        "confidence": _confidence_charts(report),
    }


def _round_chart(report: RunReport, metric: str) -> Markup:
    def points(method: str) -> list[Point]:
        means = [(round_.measured, round_.figures[method][metric]) for round_ in report.rounds]
        return [Point(m.round, i.mean, i.low, i.high, hollow=not m.kept) for m, i in means]

    series = [Series(method, points(method)) for method in METHODS]
    return round_chart(f"{metric} by round", series)


def _gain_chart(report: RunReport) -> Markup | None:
    rows = [
        (f"{round_.number}", Point(g.mean, 0, g.low, g.high, hollow=not round_.measured.kept))
        for round_ in report.tried
        if (verdict := round_.measured.verdict) and (g := verdict.gain)
    ]
    return gain_chart("Gain of each round over the best round before it", rows) if rows else None


def _fit_charts(report: RunReport) -> list[tuple[str, Markup]]:
    charts = []
    for key, title in _CURVES.items():
        series = [
            Series(
                fit_name(fit),
                [Point(entry["epoch"], entry[key]) for entry in fit.log if key in entry],
            )
            for fit in report.fits
        ]
        if series and all(line.points for line in series):
            charts.append((title, line_chart(title, "epoch", series)))
    return charts


def _cosine_charts(report: RunReport) -> list[tuple[str, Markup, Markup]]:
    """Return a caption, a histogram and a legend for each mined round."""
    charts = []
    for mining in report.minings:
        if mining.histogram:
            shares: Sequence[tuple[str, list[float]]] = list(mining.histogram.shares.items())
            caption = f"Round {mining.number}"
            title = f"Cosines to the question, round {mining.number}"
            chart = histogram(title, "cosine to the question", mining.histogram.edges, shares)
            names = [name for name, _ in shares]
            charts.append((caption, chart, legend(names, filled_first=True)))
    return charts


def _confidence_charts(report: RunReport) -> list[tuple[str, Markup]]:
    qualities = {"questions in folds": report.best.measured.confidence}
    if report.test:
        qualities["held-out questions"] = report.test.tested.confidence
    return [
        (
            what,
            reliability_chart(
                f"How often answers are right by stated confidence: {what}",
                [Point(bin_["confidence"], bin_["accuracy"]) for bin_ in quality.bins],
            ),
        )
        for what, quality in qualities.items()
        if quality
    ]
