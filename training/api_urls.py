"""Routes of training in the API, version 1."""

from django.urls import path

from training import api

urlpatterns = [path("projects/<slug:slug>/advice/", api.advice, name="api_advice")]
