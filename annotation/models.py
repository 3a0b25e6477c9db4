"""What annotation keeps: projects and who belongs to them, items and their responses, assignments, judgements.

The promises of the design are constraints here: an item has at most as many annotators as it has slots, nobody gets it
twice, a judgement is stored once and never changed (a trigger refuses), and a correction points at what it supersedes.
"""

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q


class Project(models.Model):
    """One annotation effort: its questions, guidelines, overlap and members."""

    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=80, unique=True)
    overlap = models.PositiveSmallIntegerField(default=1, help_text="How many people judge each item.")
    schema_version = models.PositiveIntegerField(default=1, help_text="The version of the questions asked now.")
    mask_names = models.BooleanField(default=False, help_text="Hide where an answer says which model wrote it.")
    show_agreement = models.BooleanField(default=False, help_text="Annotators see how far they agree with the others.")
    correct_hours = models.PositiveIntegerField(
        null=True, blank=True, help_text="For how long a judgement can be corrected; empty: always."
    )
    break_minutes = models.PositiveSmallIntegerField(
        default=50, help_text="Minutes of work after which a break is suggested; 0: never."
    )
    live_model = models.CharField(
        max_length=200, blank=True, help_text="The model that people talk with to collect conversations; empty: none."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.CheckConstraint(condition=Q(overlap__gte=1, overlap__lte=50), name="overlap_1_to_50")]

    def __str__(self) -> str:
        return self.name


class Guidelines(models.Model):
    """One version of what annotators are told. A change is a new version; judgements pin the one they were made under."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="guidelines")
    version = models.PositiveIntegerField()
    text = models.TextField(blank=True)
    examples = models.JSONField(default=list, help_text="A list of {prompt, answers: [{text, verdict}], why}.")
    change = models.TextField(blank=True, help_text="What is new against the version before, in the lead's words.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["version"]
        constraints = [models.UniqueConstraint(fields=["project", "version"], name="guidelines_version_once")]

    def __str__(self) -> str:
        return f"{self.project} v{self.version}"


class Question(models.Model):
    """What is asked about an item, in one version of the project's schema; `kind` names a file in annotation/kinds.

    A change writes all questions anew under the next version; judgements pin the one they answered.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="questions")
    version = models.PositiveIntegerField(default=1)
    name = models.SlugField(max_length=40)
    kind = models.CharField(max_length=20)
    title = models.CharField(max_length=200)
    help = models.TextField(blank=True)
    options = models.JSONField(default=dict, help_text="In the shape of its kind's schema.")
    required = models.BooleanField(default=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["version", "position"]
        constraints = [models.UniqueConstraint(fields=["project", "version", "name"], name="question_name_once")]

    def __str__(self) -> str:
        return f"{self.project}: {self.title}"


class Membership(models.Model):
    """Somebody's part in a project. Without a user it stands for an annotator whose judgements were imported."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="memberships"
    )
    role = models.CharField(max_length=12, choices=[("annotator", "Annotator"), ("lead", "Lead")], default="annotator")
    pseudonym = models.CharField(max_length=80, help_text="The only name that leaves the project.")
    active = models.BooleanField(default=True)
    guidelines_read = models.PositiveIntegerField(default=0, help_text="The version of the guidelines they confirmed.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="member_once"),
            models.UniqueConstraint(fields=["project", "pseudonym"], name="pseudonym_once"),
        ]

    def __str__(self) -> str:
        return f"{self.pseudonym} in {self.project}"


class Import(models.Model):
    """One file that came in: waiting for its mapping, or taken in whole."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="imports")
    file_name = models.CharField(max_length=200)
    stored_as = models.CharField(max_length=80, blank=True, help_text="Name in the uploads folder while waiting.")
    sha256 = models.CharField(max_length=64)
    size = models.BigIntegerField()
    mapping = models.JSONField(default=dict)
    counts = models.JSONField(default=dict)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    done_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.file_name


class Item(models.Model):
    """One prompt with K responses to judge. `free` slots are what its overlap still asks for, leases counted as taken."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="items", db_index=False)
    batch = models.ForeignKey(Import, on_delete=models.PROTECT, null=True, related_name="items")
    key = models.CharField(max_length=200, help_text="Its id in the file it came from.")
    position = models.PositiveIntegerField()
    prompt = models.JSONField(help_text="A list of {role, content}.")
    context = models.JSONField(default=list, help_text="Reference passages: a list of {title, text}.")
    topic = models.CharField(max_length=100, blank=True, help_text="The field of knowledge it belongs to.")
    warning = models.CharField(max_length=300, blank=True, help_text="Shown before the item itself is.")
    task = models.CharField(
        max_length=100, blank=True, help_text="What rows of it are examples of; empty: the question."
    )
    group = models.CharField(max_length=200, help_text="Items of one group stay on one side of every split.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of prompt, context and responses.")
    imported = models.PositiveSmallIntegerField(default=0, help_text="Judgements that came with it.")
    free = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["project", "key"], name="item_key_once")]
        indexes = [
            models.Index(fields=["project", "position"], name="items_in_order"),
            models.Index(fields=["project", "position"], condition=Q(free__gt=0), name="item_with_free_slots"),
        ]

    def __str__(self) -> str:
        return self.key


class Text(models.Model):
    """A text to learn from as it is, that nobody is asked about: a book, an article, a line."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="texts")
    batch = models.ForeignKey(Import, on_delete=models.PROTECT, null=True, related_name="texts")
    key = models.CharField(max_length=200, help_text="Its id in the file it came from, or the file's name.")
    title = models.CharField(max_length=200, blank=True)
    text = models.TextField()
    group = models.CharField(max_length=200, help_text="Texts of one group stay on one side of every split.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the text.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["project", "key"], name="text_key_once")]
        triggers = [
            pgtrigger.Protect(name="texts_stay_as_they_are", operation=pgtrigger.Update),
        ]

    def __str__(self) -> str:
        return self.key


class Response(models.Model):
    """One candidate output. `source` is the model that wrote it, which annotators never see."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="responses")
    position = models.PositiveSmallIntegerField()
    text = models.TextField()
    source = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["item", "position"], name="response_position_once")]

    def __str__(self) -> str:
        return f"{self.item} [{self.position}]"


class Assignment(models.Model):
    """A lease on one item for one annotator, with the order in which the responses are shown.

    `slot` is the place it takes in the item's overlap; one that ran out or was skipped gives it back.
    """

    OPEN, DONE, EXPIRED, SKIPPED = "open", "done", "expired", "skipped"

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="assignments")
    member = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="assignments")
    slot = models.PositiveSmallIntegerField(null=True)
    order = models.JSONField(help_text="Response positions, as shown from first to last.")
    state = models.CharField(max_length=8, default=OPEN)
    skip_reason = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField()
    leased_until = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "member"], name="item_once_per_annotator"),
            models.UniqueConstraint(fields=["item", "slot"], name="slot_once_per_item"),
            models.CheckConstraint(
                condition=Q(state__in=["open", "done"], slot__isnull=False)
                | Q(state__in=["expired", "skipped"], slot__isnull=True),
                name="a_slot_while_it_counts",
            ),
        ]
        indexes = [
            models.Index(fields=["leased_until"], condition=Q(state="open"), name="open_leases"),
            models.Index(fields=["member", "state"], name="assignments_of_a_member"),
        ]

    def __str__(self) -> str:
        return f"{self.item} for {self.member}"


class Draft(models.Model):
    """What somebody has entered for an item and not sent yet: the form's fields, for whichever browser they come back with."""

    assignment = models.OneToOneField(Assignment, on_delete=models.CASCADE, related_name="draft")
    fields = models.JSONField()
    saved_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"draft of {self.assignment}"


class Judgement(models.Model):
    """One annotator's answers to one item, for ever. A correction is a new one that supersedes it.

    Answers speak of responses by their position in the item, never by the place where they were shown. What pages count stands in
    the indexes: a project may have hundreds of thousands.
    """

    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="judgements", db_index=False)
    member = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="judgements", db_index=False)
    key = models.UUIDField(unique=True, help_text="The submission's idempotency key.")
    version = models.PositiveSmallIntegerField(default=1)
    supersedes = models.OneToOneField("self", on_delete=models.PROTECT, null=True, related_name="superseded_by")
    answers = models.JSONField(help_text="Question name -> answer, in the shape of the question's kind.")
    order = models.JSONField(default=list, help_text="Response positions, as they were shown; empty if imported.")
    guidelines_version = models.PositiveIntegerField(default=0)
    schema_version = models.PositiveIntegerField(default=1)
    origin = models.CharField(max_length=8, default="live", help_text="live or import")
    active_ms = models.PositiveIntegerField(null=True, help_text="Milliseconds at work, without idle time.")
    started_at = models.DateTimeField(null=True)
    submitted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["item", "member", "version"], include=["id"], name="judgement_version_once"
            ),
            models.CheckConstraint(
                condition=Q(version=1, supersedes=None) | Q(version__gt=1, supersedes__isnull=False),
                name="later_versions_supersede",
            ),
            models.CheckConstraint(condition=~Q(supersedes=F("id")), name="supersedes_another"),
        ]
        indexes = [
            models.Index(
                fields=["member", "id"],
                include=["supersedes", "schema_version", "guidelines_version", "origin"],
                name="judgements_of_a_member",
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="judgements_are_append_only", operation=pgtrigger.Update | pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.item} by {self.member}, version {self.version}"


class Flag(models.Model):
    """Something is wrong with an item; a lead settles it. The reasons stand in flagging.py."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="flags")
    member = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="flags")
    reason = models.CharField(max_length=40)
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    settled_at = models.DateTimeField(null=True)
    settled_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    settled_note = models.TextField(blank=True, help_text="What was done about it.")

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["item"], condition=Q(settled_at=None), name="open_flags")]

    def __str__(self) -> str:
        return f"{self.item}: {self.reason}"


class Feedback(models.Model):
    """What a reviewer says of a judgement to who made it, or an answer to that (`replies_to`).

    With `asks_again` the judgement comes back to its annotator; a correction, or their answer, settles it.
    """

    judgement = models.ForeignKey(Judgement, on_delete=models.CASCADE, related_name="feedback")
    replies_to = models.ForeignKey("self", on_delete=models.CASCADE, null=True, related_name="replies")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    text = models.TextField(blank=True)
    asks_again = models.BooleanField(default=False)
    guidelines_version = models.PositiveIntegerField(null=True, help_text="The version that made somebody ask again.")
    created_at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["judgement"], condition=Q(settled_at=None), name="open_feedback")]

    def __str__(self) -> str:
        return f"{self.judgement}: {self.text[:40]}"
