"""The kinds of question, one file each. `KINDS` is the list that everything else asks.

A kind says what can be chosen about it, reads what the desk's form sends, says what its answer means, and projects it to
rows for trainers. Its template is annotation/desk/kinds/<name>.html, its widget static/annotation/widgets/<name>.js.
"""

from annotation.kinds.answer import BadAnswer, Fields, Kind, Options, Projection, Rankable, Subject
from annotation.kinds.comment import Comment
from annotation.kinds.comparison import Comparison
from annotation.kinds.critique import Critique
from annotation.kinds.demonstration import Demonstration
from annotation.kinds.label import Label
from annotation.kinds.ranking import Ranking
from annotation.kinds.rating import Rating

KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (Ranking(), Comparison(), Rating(), Demonstration(), Critique(), Label(), Comment())
}

__all__ = ["KINDS", "BadAnswer", "Fields", "Kind", "Options", "Projection", "Rankable", "Subject"]
