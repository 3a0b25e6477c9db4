"""Every route of the site. Each view declares its permission (webapp.people.permitting); a test walks this list."""

from django.urls import include, path

from webapp.health import healthz
from webapp.people import languages
from webapp.people import views as people

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("sign-in/", people.sign_in, name="login"),
    path("sign-out/", people.sign_out, name="logout"),
    path("welcome/<str:token>/", people.welcome, name="welcome"),
    path("language/", languages.choose, name="language"),
    path("account/", people.account, name="account"),
    path("notices/", people.notices, name="notices"),
    path("notices/<int:notice_id>/", people.open_notice, name="open_notice"),
    path("api/v1/", include("annotation.api_urls")),
    path("api/v1/", include("training.api_urls")),
    path("", include("training.urls")),
    path("", include("annotation.urls")),
]
