"""People: who signs in, by what, and who may do what."""

from django.apps import AppConfig


class PeopleConfig(AppConfig):
    name = "webapp.people"
    label = "people"
    default_auto_field = "django.db.models.BigAutoField"
