"""Settings of the site, from environment variables and from what stands in the data folder.

Importing this module reads the key file's and the database's places; it starts nothing. Every variable is described in
docs/running.md.
"""

from pathlib import Path

import environ
from csp.constants import NONE, SELF

from webapp import home, postgres

env = environ.Env()

ROOT = Path(__file__).resolve().parents[2]
HOME = home.home()

SECRET_KEY = home.secret_key()
DEBUG = env.bool("DEBUG", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
HTTPS = env.bool("HTTPS", default=False)

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "axes",
    "pgtrigger",
    "webapp",
    "webapp.people",
    "annotation",
    "training",
]

MIDDLEWARE = [
    "webapp.body_limit.BodyLimitMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "webapp.refusing.NoNul",
    "webapp.people.permitting.PermissionMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "webapp.urls"
WSGI_APPLICATION = "webapp.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "platform" / "webapp" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "webapp.people.languages.languages",
                "webapp.people.navigating.navigation",
                "training.views.disk.low_disk",
            ]
        },
    }
]

# One embedded server for everything, unless a database is named.
DATABASES = {"default": env.db("DATABASE_URL") if env("DATABASE_URL", default="") else postgres.database_settings(HOME)}
DATABASES["default"]["CONN_MAX_AGE"] = 0
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {"min_size": 1, "max_size": 10, "timeout": 10}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "people.User"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_TEMPLATE = "registration/locked.html"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "webapp.people.tokens.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.LimitOffsetPagination",
    "PAGE_SIZE": 100,
}

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "object-src": [NONE],
    }
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = "feinschliff_session"
CSRF_COOKIE_NAME = "feinschliff_csrf"
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# Notices are mailed too where there is a mail server to send them.
EMAIL_URL = env("EMAIL_URL", default="")
MAIL_IS_SET_UP = bool(EMAIL_URL)
if EMAIL_URL:
    try:
        vars().update(env.email_url("EMAIL_URL"))
    except environ.ImproperlyConfigured:
        raise home.CannotStart(
            "EMAIL_URL names no mail server. It should look like smtp+tls://user:password@mail.example.org:587 "
            "(smtp:// without encryption, smtp+ssl:// on port 465). Nothing was changed."
        ) from None
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env("MAIL_FROM", default="feinschliff@localhost")
SITE_URL = env("SITE_URL", default="")

# Each language names itself. Adding one: docs/translating.md.
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [ROOT / "platform" / "webapp" / "locale"]
LANGUAGE_COOKIE_NAME = "feinschliff_language"
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
TIME_ZONE = env("TIME_ZONE", default="UTC")
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = HOME / "static"
STATICFILES_DIRS = [ROOT / "platform" / "webapp" / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "webapp.static_files.HashedStaticFiles"},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {"axes": {"level": "ERROR"}},
}

# project and membership of a signed-in person by the slug in the route; None where it is not theirs
PROJECT_LOOKUP = "annotation.belonging.project_for"
# the models that people can talk with to collect conversations, and two answers of one of them
LIVE_MODELS = "training.replying.models_of"
LIVE_ANSWERS = "training.replying.candidates"

# What the first start does, in order; each is safe to call at every start.
FIRST_START = [
    "webapp.people.inviting.first_people",
    "annotation.demo.opening.open_demo",
    "training.clearing.finish_deletions",
]

# Extra trainers come in by the entry-point group `feinschliff`; the built-ins are named here, and have no other door.
BUILTIN_PLUGINS = [
    "plugins.base_models",
    "plugins.supervised",
    "plugins.self_supervised",
    "plugins.reward_model",
    "plugins.comparative_ranking",
    "plugins.preference",
    "plugins.ppo",
]
LAUNCHER = env("FEINSCHLIFF_LAUNCHER", default="local")
LAUNCHER_PLUGINS = [
    "plugins.local_launcher",
    "plugins.ray_launcher",
    *env.list("FEINSCHLIFF_LAUNCHER_PLUGINS", default=[]),
]
LOCAL_MODELS = env.list("FEINSCHLIFF_LOCAL_MODELS", default=[])

# A lease on an item runs out after this many minutes without a submit.
ASSIGNMENT_MINUTES = env.int("ASSIGNMENT_MINUTES", default=60)
# A worker that has not beaten for this many seconds has lost its run to the next.
RUN_LEASE_SECONDS = env.int("RUN_LEASE_SECONDS", default=30)
# What all processes of one run together may hold; 0: four fifths of this machine's or container's memory.
RUN_MEMORY_BYTES = env.int("RUN_MEMORY_BYTES", default=0)
RUN_LOG_BYTES = env.int("RUN_LOG_BYTES", default=10_000_000)
# With less free on the disk of the home than this, no run starts.
RUN_DISK_RESERVE_BYTES = env.int("RUN_DISK_RESERVE_BYTES", default=2_000_000_000)
IMPORT_MAX_BYTES = env.int("IMPORT_MAX_BYTES", default=256 * 1024 * 1024)
