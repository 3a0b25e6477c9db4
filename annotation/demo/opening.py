"""Opens the demo project at the first start: real answers of a small language model, and no judgement yet."""

from pathlib import Path

from annotation import belonging, importing
from annotation.models import Project
from webapp.people.models import User

FOLDER = Path(__file__).parent
NAME = "Demo: rank four answers"
OVERLAP = 2


def open_demo() -> None:
    """Once, on a site without any project."""
    if Project.objects.exists():
        return
    admin = User.objects.filter(is_superuser=True).order_by("id").first()
    text = (FOLDER / "guidelines.md").read_text("utf-8")
    project = belonging.create_project(
        name=NAME, slug="demo", question="ranking", creator=admin, overlap=OVERLAP, guidelines=text
    )
    for user in User.objects.filter(username__startswith="annotator-"):
        belonging.join(project=project, user=user)
    path = FOLDER / "items.jsonl"
    batch = importing.begin(project=project, path=path, actor=admin)
    with path.open("rb") as file:
        importing.import_file(project=project, file=file, mapping={}, actor=admin, batch=batch)
