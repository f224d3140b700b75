"""Formatters of figures for people; a missing value (None) is written as `-`."""


def number(value: float | None, digits: int, unit: str = "") -> str:
    """Format a number with so many decimals and its unit."""
    return "-" if value is None else f"{value:.{digits}f}{unit}"


def text(value: str | None) -> str:
    """Format a text, which may be missing."""
    return "-" if value is None else value


def decimal(value: float | None) -> str:
    """Format a number with one decimal."""
    return number(value, 1)


def count(value: float | None) -> str:
    """Format a number without decimals."""
    return number(value, 0)


def ratio(part: int, whole: int) -> str:
    """Format a count and the total that it is part of."""
    return f"{part}/{whole}"


def seconds(value: float | None) -> str:
    """Format a duration in seconds."""
    return number(value, 2, " s")


def dollars(value: float | None) -> str:
    """Format an amount of money in US dollars."""
    return number(value, 4, " $")


def dollar_interval(low: float | None, high: float | None) -> str:
    """Format bounds of a cost in US dollars; the upper one may be missing alone."""
    if low is None:
        return "-"
    return f"{low:.4f}–{high:.4f} $" if high is not None else f"from {low:.4f} $"


def percent(value: float | None, digits: int = 1) -> str:
    """Format a share, 0..1, in percent."""
    return "-" if value is None else f"{value:.{digits}%}"


def whole_percent(value: float | None) -> str:
    """Format a share, 0..1, in percent without decimals."""
    return percent(value, 0)


def interval(low: float | None, high: float | None) -> str:
    """Format bounds of a share, 0..1, in percent."""
    return "-" if low is None or high is None else f"{100 * low:.0f}–{high:.0%}"


def points(value: float | None) -> str:
    """Format a difference of shares, -1..1, in percentage points with a sign."""
    return "-" if value is None else f"{100 * value:+.1f}"


def point_interval(low: float, high: float) -> str:
    """Format bounds of a difference of shares, -1..1, in percentage points with signs."""
    return f"{points(low)} to {points(high)}"


def two_digits(value: float | None) -> str:
    """Format a number with two significant digits."""
    return "-" if value is None else f"{value:.2g}"


def three_digits(value: float) -> str:
    """Format a number with three significant digits, a large one without decimals."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def correlation(value: float | None) -> str:
    """Format a correlation, -1..1, with a sign and two decimals."""
    return "-" if value is None else f"{value:+.2f}"


def p_value(value: float | None) -> str:
    """Format a p-value; below 0.001 only that it is so small."""
    return "<0.001" if value is not None and value < 0.001 else two_digits(value)


def model_size(value: int | None) -> str:
    """Format a number of parameters, such as 7.6B."""
    if value is None:
        return "-"
    unit, size = next(((u, n) for u, n in _MODEL_SIZES if value >= n), ("", 1))
    return f"{value / size:.3g}{unit}"


def file_size(value: int | None) -> str:
    """Format a size in bytes with its unit."""
    if value is None:
        return "-"
    unit, size = next(((u, n) for u, n in _FILE_SIZES if value >= n), ("B", 1))
    return f"{value / size:.3g} {unit}"


_MODEL_SIZES = (("T", 10**12), ("B", 10**9), ("M", 10**6), ("K", 10**3))
_FILE_SIZES = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))
