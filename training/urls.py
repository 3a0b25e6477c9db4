"""Routes of training."""

from django.urls import path

from training.views import advice, clearing, comparing, disk, launch, likeness, logs, models, plugins, runs, snapshots

urlpatterns = [
    path("plugins/", plugins.plugins, name="plugins"),
    path("disk/", disk.show, name="disk"),
    path("p/<slug:slug>/plugins/", plugins.project_plugins, name="project_plugins"),
    path("p/<slug:slug>/items/similar/", likeness.similar, name="similar"),
    path("p/<slug:slug>/snapshots/", snapshots.snapshots, name="snapshots"),
    path("p/<slug:slug>/snapshots/<str:name>/", snapshots.snapshot, name="snapshot"),
    path("p/<slug:slug>/snapshots/<str:name>/<str:split>.jsonl", snapshots.download, name="snapshot_rows"),
    path("p/<slug:slug>/advice/", advice.advice, name="advice"),
    path("p/<slug:slug>/advice/train/", advice.advice_train, name="advice_train"),
    path("p/<slug:slug>/advice/compare/", advice.advice_compare, name="advice_compare"),
    path("p/<slug:slug>/runs/", runs.runs, name="runs"),
    path("p/<slug:slug>/runs/new/", launch.new, name="new_run"),
    path("p/<slug:slug>/runs/new/check/", launch.check, name="check_run"),
    path("p/<slug:slug>/runs/archive/", clearing.archive, name="runs_archive"),
    path("p/<slug:slug>/runs/compare/", comparing.compare, name="compare_runs"),
    path("p/<slug:slug>/runs/curves/", comparing.curves, name="run_curves"),
    path("p/<slug:slug>/runs/<int:run_id>/", runs.run, name="run"),
    path("p/<slug:slug>/runs/<int:run_id>/live/", runs.live, name="run_live"),
    path("p/<slug:slug>/runs/<int:run_id>/log/", logs.log, name="run_log"),
    path("p/<slug:slug>/runs/<int:run_id>/log.txt", logs.log_file, name="run_log_file"),
    path("p/<slug:slug>/runs/<int:run_id>/cancel/", runs.cancel, name="cancel_run"),
    path("p/<slug:slug>/runs/<int:run_id>/name/", runs.rename, name="rename_run"),
    path("p/<slug:slug>/runs/<int:run_id>/relaunch/", runs.relaunch, name="relaunch_run"),
    path("p/<slug:slug>/models/", models.models, name="models"),
    path("p/<slug:slug>/models/<int:model_id>/", models.model, name="model"),
]
