"""A form for the questions of a project, made out of the schemas of their kinds, and what such a form says.

A field's name is a path: `q.0.title`, `q.0.options.aspects.2.name`. Numbers only hold together what belongs together: the
order of questions and rows is the order in which they stand in the form, so that a page can move them as they are.
"""

from annotation.building.drafting import blank, drafts_of
from annotation.building.fields import Mistake, QuestionForm, mistakes
from annotation.building.forming import forms
from annotation.building.reading import Read, read
from annotation.building.stepping import step

__all__ = ["Mistake", "QuestionForm", "Read", "blank", "drafts_of", "forms", "mistakes", "read", "step"]
