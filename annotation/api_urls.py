"""Routes of the API, version 1."""

from django.urls import path

from annotation import api

urlpatterns = [
    path("projects/", api.project_list, name="api_projects"),
    path("projects/<slug:slug>/", api.project_detail, name="api_project"),
]
