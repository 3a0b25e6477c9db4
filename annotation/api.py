"""What scripts read over HTTP, with a session or a token: the person's own projects."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import generics, serializers

from annotation import asking, assigning, belonging
from annotation.models import Project
from webapp.people.permitting import api


class ProjectSerializer(serializers.ModelSerializer[Project]):
    """A project and how far it is."""

    questions = serializers.SerializerMethodField()
    progress = serializers.SerializerMethodField()

    class Meta:
        model = Project
        fields = ["slug", "name", "schema_version", "questions", "overlap", "created_at", "progress"]

    def get_questions(self, project: Project) -> list[dict[str, Any]]:
        """Those asked now, in the shape that `create_project --questions-file` reads."""
        return [
            {
                "name": asked.name, "kind": asked.kind.name, "title": asked.title, "help": asked.help,
                "required": asked.required, "options": asked.options.model_dump(mode="json"),
            }
            for asked in asking.questions_of(project)
        ]  # fmt: skip

    def get_progress(self, project: Project) -> dict[str, Any]:
        state = assigning.progress(project=project)
        return {"done": state.done, "total": state.total}


class ProjectList(generics.ListAPIView[Project]):
    serializer_class = ProjectSerializer

    def get_queryset(self) -> QuerySet[Project]:
        return belonging.projects_of(self.request.user)


class ProjectDetail(generics.RetrieveAPIView[Project]):
    serializer_class = ProjectSerializer
    lookup_field = "slug"

    def get_queryset(self) -> QuerySet[Project]:
        return belonging.projects_of(self.request.user)


project_list = api(ProjectList.as_view())
project_detail = api(ProjectDetail.as_view())
