"""What training keeps: snapshots, runs under a fenced lease, what they reported, the models they left, and switches."""

import pgtrigger
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from annotation.models import Project


class Snapshot(models.Model):
    """Judgements frozen into content-hashed rows, split by group. The rows are files named by the hash.

    Which judgements stands apart, in `FrozenJudgements`: hundreds of thousands of numbers have no place in a list of snapshots.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="snapshots")
    hash = models.CharField(max_length=64, unique=True)
    rows = models.CharField(max_length=20, help_text="Row kind, as in feinschliff.rows.")
    counts = models.JSONField(help_text="Rows and groups on each side, and what the projection dropped.")
    options = models.JSONField(help_text="Share held out, and the split's seed.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        triggers = [
            pgtrigger.Protect(name="snapshots_never_change", operation=pgtrigger.Update | pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.rows} {self.hash[:12]}"

    @property
    def judgement_ids(self) -> list[int]:
        """Of what it was made, as they were read; asks the database each time."""
        return self.first_judgement_ids(None)

    def first_judgement_ids(self, most: int | None) -> list[int]:
        """As many of them, or all."""
        there = FrozenJudgements.objects.filter(snapshot=self)
        return there.values_list("ids" if most is None else f"ids__0_{most}", flat=True).first() or []


class FrozenJudgements(models.Model):
    """The judgements behind a snapshot."""

    snapshot = models.OneToOneField(Snapshot, on_delete=models.PROTECT, primary_key=True, related_name="frozen")
    ids = ArrayField(models.BigIntegerField())

    class Meta:
        triggers = [
            pgtrigger.Protect(name="frozen_judgements_never_change", operation=pgtrigger.Update | pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"judgements of {self.snapshot}"


class Run(models.Model):
    """One trainer at work on one snapshot. Whoever works it holds a lease; `lease_epoch` stands in every write of theirs."""

    QUEUED, STARTING, RUNNING, STOPPING = "queued", "starting", "running", "stopping"
    SUCCEEDED, FAILED, CANCELLED = "succeeded", "failed", "cancelled"
    LIVE = (QUEUED, STARTING, RUNNING, STOPPING)
    HELD = (STARTING, RUNNING, STOPPING)
    ENDED = (SUCCEEDED, FAILED, CANCELLED)
    TITLES = {
        QUEUED: _("Waiting for a worker"), STARTING: _("Starting"), RUNNING: _("Running"), STOPPING: _("Stopping"),
        SUCCEEDED: _("Succeeded"), FAILED: _("Failed"), CANCELLED: _("Cancelled"),
    }  # fmt: skip

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="runs")
    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, related_name="runs")
    name = models.CharField(max_length=80, blank=True, help_text="What people call it; empty: its trainer and number.")
    trainer = models.CharField(max_length=80)
    trainer_version = models.CharField(max_length=40, blank=True)
    plugin = models.CharField(max_length=120, blank=True, help_text="Who brings the trainer.")
    environment = models.CharField(
        max_length=80, blank=True, help_text="The plugin's own environment; empty: the site's."
    )
    ranks = models.PositiveSmallIntegerField(default=1, help_text="Processes that share its work.")
    launched_from = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        help_text="The run whose settings it started from.",
    )
    resumable = models.BooleanField(default=False)
    config = models.JSONField()
    seed = models.PositiveIntegerField(default=0)
    models_used = models.JSONField(help_text="Role -> model string.")
    versions = models.JSONField(default=dict, help_text="Code versions the run was made with.")
    state = models.CharField(max_length=10, default=QUEUED)
    message = models.CharField(max_length=200, blank=True, help_text="What the trainer says it is doing.")
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_epoch = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    worker = models.CharField(max_length=120, blank=True)
    launcher = models.CharField(max_length=80, blank=True, help_text="What started the latest attempt.")
    handle = models.TextField(blank=True, help_text="How its launcher finds it again.")
    log_offset = models.BigIntegerField(default=0)
    cancel_requested_at = models.DateTimeField(null=True)
    done = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(default=0)
    numbers = models.JSONField(default=dict)
    error = models.TextField(blank=True, help_text="The cause of failure, in one sentence.")
    launched_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    archived_at = models.DateTimeField(null=True, help_text="Out of the way, with nothing deleted.")

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["id"], condition=Q(state__in=["queued", "starting", "running", "stopping"]), name="live_runs"
            ),
        ]

    def __str__(self) -> str:
        return f"run {self.pk}: {self.trainer}"

    @property
    def title(self) -> str:
        """What lists call it; the number tells apart what has one name."""
        return f"{self.name} · {self.pk}" if self.name else f"{self.trainer} {self.pk}"

    @property
    def is_live(self) -> bool:
        return self.state in self.LIVE

    @property
    def state_title(self) -> str:
        return str(self.TITLES[self.state])


class Metric(models.Model):
    """One number that a run reported at a step. NaN and infinity are kept as null."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="metrics")
    attempt = models.PositiveSmallIntegerField()
    step = models.BigIntegerField()
    name = models.CharField(max_length=120)
    value = models.FloatField(null=True)

    class Meta:
        indexes = [models.Index(fields=["run", "name", "step"], name="metrics_of_a_run")]

    def __str__(self) -> str:
        return f"{self.name}@{self.step}={self.value}"


class Sample(models.Model):
    """A text that a run wrote on the way, to look at."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="samples")
    prompt = models.JSONField()
    text = models.TextField()
    before = models.TextField(null=True, help_text="What was written to this prompt before training.")  # noqa: DJ001 - nothing and an empty text differ
    values = models.JSONField(default=dict)
    at = models.DateTimeField(auto_now_add=True)
    step = models.BigIntegerField(null=True, help_text="The last step that was reported before it.")

    def __str__(self) -> str:
        return self.text[:60]


class Report(models.Model):
    """A table, a picture or a matrix of counts that a run made for its page; a later one of its title took its place."""

    TABLE, LINE, POINTS, MATRIX = "table", "line", "points", "matrix"

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="reports")
    kind = models.CharField(max_length=10)
    title = models.CharField(max_length=120)
    note = models.TextField(blank=True, help_text="How it is to be read.")
    content = models.JSONField()
    at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["run", "title"], name="one_report_a_title")]

    def __str__(self) -> str:
        return self.title


class Model(models.Model):
    """What a run left behind. Its string is `run:<id>`."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="models")
    run = models.OneToOneField(Run, on_delete=models.PROTECT, related_name="model")
    name = models.CharField(max_length=120)
    yields = models.JSONField(help_text="The verbs it has.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name

    @property
    def ref(self) -> str:
        return f"run:{self.run_id}"


class PluginSwitch(models.Model):
    """Whether a plugin's trainers are offered in a project. Without a row: built-ins are, others are not."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="plugin_switches")
    plugin = models.CharField(max_length=120)
    on = models.BooleanField()
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "plugin"], name="one_switch_a_plugin")]

    def __str__(self) -> str:
        return f"{self.plugin} {'on' if self.on else 'off'}"
