"""How gunicorn serves the site: two processes of eight threads, no access log, no control socket in anybody's home.

Used by `manage.py run`, and by hand:
`python -m gunicorn -c platform/webapp/gunicorn_settings.py webapp.wsgi:application`.
"""

import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

_host = os.environ.get("HOST") or "127.0.0.1"
bind = f"{f'[{_host}]' if ':' in _host else _host}:{os.environ.get('PORT') or '8000'}"
worker_class = "gthread"
workers = int(os.environ.get("WEB_WORKERS") or "2")
threads = 8
timeout = 60
graceful_timeout = 10
umask = 0o077
loglevel = "warning"
accesslog = None
control_socket_disable = True
