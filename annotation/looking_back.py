"""What somebody has done in a project, for their own page: days, hours, what they said, what they left open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import connection
from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from annotation import asking, reviewing
from annotation.kinds import BadAnswer
from annotation.models import Assignment, Draft, Judgement, Membership

DAYS = 30
MOST_LISTED = 50


@dataclass(frozen=True)
class Work:
    """Active milliseconds at the desk without idle time, judgements (corrections not counted), seconds an item."""

    today_ms: int
    week_ms: int
    all_ms: int
    today: int
    week: int
    all: int
    median_s: int | None

    @property
    def today_time(self) -> tuple[int, int]:
        return hours_and_minutes(self.today_ms)

    @property
    def week_time(self) -> tuple[int, int]:
        return hours_and_minutes(self.week_ms)

    @property
    def all_time(self) -> tuple[int, int]:
        return hours_and_minutes(self.all_ms)


def hours_and_minutes(ms: int) -> tuple[int, int]:
    return divmod(ms // 60_000, 60)


@dataclass(frozen=True)
class Day:
    """Items first judged on a day."""

    day: date
    count: int


def work(member: Membership, *, now: datetime | None = None) -> Work:
    """The week begins on Monday, by the site's clock; time spent on corrections counts, as it was work."""
    midnight = timezone.localtime(now or timezone.now()).replace(hour=0, minute=0, second=0, microsecond=0)
    monday = midnight - timedelta(days=midnight.weekday())
    today, week, first = Q(submitted_at__gte=midnight), Q(submitted_at__gte=monday), Q(version=1)
    sums = Judgement.objects.filter(member=member, origin="live").aggregate(
        today_ms=Sum("active_ms", filter=today), week_ms=Sum("active_ms", filter=week), all_ms=Sum("active_ms"),
        today=Count("id", filter=today & first), week=Count("id", filter=week & first), all=Count("id", filter=first),
    )  # fmt: skip
    return Work(median_s=_median_s(member), **{name: value or 0 for name, value in sums.items()})


def _median_s(member: Membership) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY active_ms) FROM annotation_judgement"
            " WHERE member_id = %s AND origin = 'live' AND version = 1 AND active_ms > 0",
            [member.pk],
        )
        (found,) = cursor.fetchone()
    return None if found is None else round(found / 1000)


def days(member: Membership, *, now: datetime | None = None) -> list[Day]:
    """The last thirty days, today last, those without work among them."""
    today = timezone.localtime(now or timezone.now()).date()
    first = today - timedelta(days=DAYS - 1)
    found = Judgement.objects.filter(member=member, origin="live", version=1, submitted_at__date__gte=first)
    counted = found.annotate(day=TruncDate("submitted_at")).order_by().values("day").annotate(n=Count("id"))
    by_day = dict(counted.values_list("day", "n"))
    return [Day(day, by_day.get(day, 0)) for day in (first + timedelta(days=n) for n in range(DAYS))]


@dataclass(frozen=True)
class Search:
    """What to look for in one's own work; what is left empty does not narrow it."""

    words: str = ""
    question: str = ""
    since: date | None = None
    until: date | None = None


def history(member: Membership, search: Search) -> QuerySet[Judgement]:
    """What the member said and stands by, newest first. The days are those of the site's clock."""
    found = Judgement.objects.filter(member=member, origin="live", superseded_by=None).select_related("item__project")
    if search.question:
        found = found.filter(answers__has_key=search.question)
    if search.since:
        found = found.filter(submitted_at__date__gte=search.since)
    if search.until:
        found = found.filter(submitted_at__date__lte=search.until)
    return reviewing.holding(found, search.words).prefetch_related("item__responses").order_by("-id")


def earlier(judgements: list[Judgement]) -> dict[int, list[Judgement]]:
    """Item -> what these judgements superseded, newest first. All are of one member."""
    corrected = [judgement for judgement in judgements if judgement.version > 1]
    if not corrected:
        return {}
    member = corrected[0].member_id
    found: dict[int, list[Judgement]] = {}
    older = Judgement.objects.filter(
        member_id=member, item__in=[j.item_id for j in corrected], superseded_by__isnull=False
    )
    for judgement in older.select_related("item__project").order_by("-version"):
        found.setdefault(judgement.item_id, []).append(judgement)
    return found


def summary(judgement: Judgement, versions: asking.Versions | None = None) -> str:
    """What was said, in one line; an answer that its question does not know any more is no fault of the page."""
    return " · ".join(one.words for one in said(judgement, versions)) or "…"


def said(judgement: Judgement, versions: asking.Versions | None = None) -> list[asking.Said]:
    """As (title of the question, answer in words); empty where a question does not know its answer any more."""
    try:
        return asking.said(judgement, versions=versions)
    except (BadAnswer, KeyError, ValueError, IndexError):
        return []


def drafts(member: Membership) -> QuerySet[Draft]:
    """What was entered and never sent, newest first."""
    found = Draft.objects.filter(assignment__member=member).exclude(assignment__state=Assignment.SKIPPED)
    return found.select_related("assignment__item").order_by("-saved_at")[:MOST_LISTED]


def skipped(member: Membership) -> QuerySet[Assignment]:
    """What was skipped, the latest first."""
    found = Assignment.objects.filter(member=member, state=Assignment.SKIPPED)
    return found.select_related("item").order_by("-leased_until")[:MOST_LISTED]
