"""Numbers as the reader's language writes them."""

from django.utils.formats import number_format


def number(value: float, digits: int = 0) -> str:
    """`1,234.5` in English, `1.234,5` in German; rounded to `digits` decimals."""
    return number_format(f"{value:.{digits}f}", use_l10n=True, force_grouping=True)
