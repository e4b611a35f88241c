"""Numbers in a sheet as people see them: dates, percentages, leading zeros."""

import datetime
import decimal
import re
from dataclasses import dataclass

_NOT_SIGNS = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]')  # in a format: what stands there as text
_DURATION = re.compile(r"\[(?:h+|m+|s+)\]", re.IGNORECASE)
_DATES = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
_LAST_DAY = 2_958_465  # 9999-12-31


@dataclass(frozen=True, slots=True)
class Kind:
    """How a number is shown."""

    is_date: bool = False
    is_duration: bool = False
    percent: int | None = None  # digits behind the point
    zeros: int = 0  # digits at least


def kind_of(number: int, code: str | None) -> Kind:
    """Return how a format shows numbers.

    Args:
        number: of the format; those below 164 are Excel's own.
        code: what the workbook says of it, such as "yyyy-mm-dd"; None: nothing.
    """
    if code is None:
        percent = {9: 0, 10: 2}.get(number)
        return Kind(is_date=number in _DATES, is_duration=number == 46, percent=percent)
    first = code.split(";")[0]
    signs = _NOT_SIGNS.sub("", first)
    if _DURATION.search(first):
        return Kind(is_duration=True)
    if "%" in signs:
        return Kind(percent=signs.partition(".")[2].count("0"))
    if re.fullmatch("0{2,}", signs):
        return Kind(zeros=len(signs))
    is_date = "general" not in signs.lower() and re.search(r"[dmyhs]", signs.lower()) is not None
    return Kind(is_date=is_date)


def shown(text: str, kind: Kind, *, since_1904: bool = False) -> str:
    """Return a number as a person sees it: whole numbers without ".0", dates without midnight.

    >>> shown("0.125", Kind(percent=1))
    '12.5%'
    >>> shown("46023", Kind(is_date=True))
    '2026-01-01'
    """
    if kind == Kind() and text.isdigit():
        return text
    value = float(text)
    if kind.is_duration:
        minutes, seconds = divmod(round(value * 86_400), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    if kind.is_date and 0 <= value <= _LAST_DAY:
        return _date(value, since_1904=since_1904)
    if kind.percent is not None:
        last = decimal.Decimal(1).scaleb(-kind.percent)
        return f"{(decimal.Decimal(text) * 100).quantize(last, decimal.ROUND_HALF_UP)}%"
    if not value.is_integer() or abs(value) >= 1e15:
        return f"{value:.15g}"
    whole = str(abs(int(value))).zfill(kind.zeros)
    return f"-{whole}" if value < 0 else whole


def _date(days: float, *, since_1904: bool) -> str:
    first = datetime.datetime(1904, 1, 1) if since_1904 else datetime.datetime(1899, 12, 30)
    if not since_1904 and 1 <= days < 60:
        days += 1  # Excel counts a 29 February 1900, which there was not
    moment = first + datetime.timedelta(seconds=round(days * 86_400))
    if days < 1:
        return str(moment.time())
    return str(moment.date() if moment.time() == datetime.time() else moment)
