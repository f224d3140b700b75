"""How figures are written for people; - where there is none."""


def percent(value: float | None, digits: int = 1) -> str:
    """A share, 0..1, in percent."""
    return "-" if value is None else f"{value:.{digits}%}"


def interval(low: float | None, high: float | None) -> str:
    """Bounds of a share, 0..1, in percent."""
    return "-" if low is None or high is None else f"{100 * low:.0f}–{high:.0%}"


def number(value: float | None, digits: int, unit: str = "") -> str:
    """A number with its unit."""
    return "-" if value is None else f"{value:.{digits}f}{unit}"
