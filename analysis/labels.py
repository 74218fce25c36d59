"""How methods, metrics and numbers are called in tables and figures.

Texts are plain Unicode (×, ±, −); each format of a table translates them to its own.
"""

from __future__ import annotations

from doping.families import method_label, methods

METRICS = {
    "bits_per_character": ("Bits per character", 3),
    "perplexity": ("Perplexity", 2),
    "error_rate": ("Error rate, %", 2),
    "macro_f1_loss": ("100 − macro F1, %", 2),
}
"""Name for readers and decimals of what trials are compared by; lower is better for each."""

MEASURES = {
    "accuracy": ("Accuracy, %", 2),
    "accuracy_strict": ("Accuracy (all labels), %", 2),
    "macro_f1": ("Macro F1, %", 1),
    "bleu": ("BLEU", 2),
    "chrf": ("chrF", 1),
}
"""The same of other qualities on the test split; higher is better for each."""

MISSING = "–"
"""Stands where there is no number."""


def method_name(method: str, cmr: bool, variant: str = "") -> str:
    """Name of a method, e.g. ``Doped KP + CMR, p = 0.3``; an unknown one goes by its own name."""
    return method_label(method) + (" + CMR" if cmr else "") + (f", {variant}" if variant else "")


def method_rank(method: str, cmr: bool) -> tuple[int, str, bool]:
    """Sort key: the order of ``doping.families.methods``, unknown ones last, each without CMR before with it."""
    order = methods()
    return (order.index(method) if method in order else len(order), method, cmr)


def metric_name(metric: str) -> str:
    """Name of a metric, or of another quality, for readers."""
    known = METRICS | MEASURES
    return known[metric][0] if metric in known else metric.replace("_", " ").capitalize()


def metric_decimals(metric: str) -> int:
    """Decimals that a metric, or another quality, is shown with."""
    known = METRICS | MEASURES
    return known[metric][1] if metric in known else 3


def fixed(value: float, decimals: int) -> str:
    """``value`` with so many decimals and a true minus sign; never ``−0.0``."""
    text = f"{value:.{decimals}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def signed(value: float, decimals: int) -> str:
    """As ``fixed``, with a plus where it is not negative."""
    text = fixed(value, decimals)
    return text if text.startswith("−") else f"+{text}"


def microseconds(value: float) -> str:
    """A latency: ``65.2 µs``, ``1.35 ms``."""
    return f"{value / 1000:.2f} ms" if value >= 999.5 else f"{value:.{1 if value < 99.95 else 0}f} µs"


def scaled(value: float, unit: str = "") -> str:
    """Three significant digits and a decimal prefix: ``78.1 kB``, ``1.35 M``."""
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        # 999,950 has to become 1.00 M, not 1000 k.
        if value >= 0.9995 * size:
            number = value / size
            return f"{number:.{2 if number < 9.995 else 1 if number < 99.95 else 0}f} {prefix}{unit}"
    return f"{value:.0f} {unit}".rstrip()


def round_number(value: float) -> str:
    """A round number as short as it gets, for the ticks of an axis: ``500``, ``20 k``, ``1.5 M``."""
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g} {prefix}"
    return f"{value:g}"


def factor(value: float) -> str:
    """A compression factor as asked for, e.g. ``20×``."""
    return f"{value:g}×"


def asked(factor_or_size: float, unit: str) -> str:
    """What was asked for, e.g. ``20×``, ``20× of bytes``, or a size like ``64 kB``."""
    return asked_of(factor_or_size, unit) if unit != "values" else factor(factor_or_size)


def asked_of(factor_or_size: float, unit: str, of: str = " of ") -> str:
    """The same, always with what a factor counts, e.g. ``20× of values``."""
    return f"{factor_or_size / 1000:g} kB" if unit == "size" else factor(factor_or_size) + of + unit


def achieved(value: float) -> str:
    """A compression factor as reached, e.g. ``19.9×`` or ``338×``."""
    return f"{value:.{1 if value < 99.95 else 0}f}×"
