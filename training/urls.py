"""Routes of training."""

from django.urls import path

from training.views import models, plugins, runs, snapshots

urlpatterns = [
    path("plugins/", plugins.plugins, name="plugins"),
    path("p/<slug:slug>/snapshots/", snapshots.snapshots, name="snapshots"),
    path("p/<slug:slug>/snapshots/<str:name>/", snapshots.snapshot, name="snapshot"),
    path("p/<slug:slug>/snapshots/<str:name>/<str:split>.jsonl", snapshots.download, name="snapshot_rows"),
    path("p/<slug:slug>/runs/", runs.runs, name="runs"),
    path("p/<slug:slug>/runs/new/", runs.new, name="new_run"),
    path("p/<slug:slug>/runs/<int:run_id>/", runs.run, name="run"),
    path("p/<slug:slug>/runs/<int:run_id>/live/", runs.live, name="run_live"),
    path("p/<slug:slug>/runs/<int:run_id>/cancel/", runs.cancel, name="cancel_run"),
    path("p/<slug:slug>/models/", models.models, name="models"),
    path("p/<slug:slug>/models/<int:model_id>/", models.model, name="model"),
]
