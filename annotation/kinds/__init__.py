"""The kinds of question, one file each. `KINDS` is the list that everything else asks.

A kind reads what the desk's form sends, says what its answer means, and projects it to ranks for freezing.
"""

from annotation.kinds.answer import BadAnswer, Kind
from annotation.kinds.comparison import Comparison
from annotation.kinds.ranking import Ranking

KINDS: dict[str, Kind] = {kind.name: kind for kind in (Ranking(), Comparison())}

__all__ = ["KINDS", "BadAnswer", "Kind"]
