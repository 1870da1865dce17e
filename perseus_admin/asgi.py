"""The web process: `daphne perseus_admin.asgi:application`."""

import gc
import os

gc.set_threshold(100_000, 50, 1000)  # before the imports, which take a sixth longer without; see the end

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "perseus_admin.settings")
_http = get_asgi_application()  # sets Django up; what follows needs its models

from activity.routing import websocket_urlpatterns  # noqa: E402
from activity.schema.drift import require_current_schema  # noqa: E402
from perseus_admin.config import settings  # noqa: E402
from perseus_admin.daphne_sockets import let_daphne_send_them  # noqa: E402
from perseus_admin.draining import Draining  # noqa: E402
from perseus_admin.origin import SameOrigin  # noqa: E402

require_current_schema()  # a database that differs from schema.sql ends the start, not the first request
let_daphne_send_them()
_draining = Draining(_http)
_draining.before_shutdown()

application = ProtocolTypeRouter(
    {"http": _draining, "websocket": SameOrigin(URLRouter(websocket_urlpatterns), allowed=settings().origins)}
)

# At 1,000 sockets the collector's pauses are the p99: they took 168 ms, and 49 with what is loaded by now left out and
# the young generations larger. Reference counts free nearly everything; what is left is still looked at, only rarer.
gc.collect()
gc.freeze()
