"""The URLs by which a Redis is named, and what of them may be shown. Knows nothing of connections."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

#: One server. A replica or a sentinel in front of it is not our business.
SERVER_SCHEMES: Final = ("redis", "rediss", "unix")
#: A Redis Cluster, named by some of its nodes; the others are asked for. The second one speaks TLS.
CLUSTER_SCHEMES: Final = ("redis+cluster", "rediss+cluster")
_PORT: Final = 6379


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """Nodes of a cluster as (host, port), and how to sign in to all of them."""

    nodes: tuple[tuple[str, int], ...]
    username: str | None
    password: str | None
    tls: bool


def is_cluster(url: str) -> bool:
    """Whether the URL names a Redis Cluster."""
    return url.partition("://")[0] in CLUSTER_SCHEMES


def read_cluster_url(url: str) -> ClusterAddress:
    """Read ``redis+cluster://[user:password@]host:port,host:port``. Raises ValueError with what is wrong, no secret."""
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    credentials, mark, hosts = authority.rpartition("@")
    if path not in ("", "0") or "?" in hosts or "#" in hosts:
        raise ValueError(f"{scheme}:// takes no database other than 0 and no parameters: a cluster has one database")
    user, _, password = credentials.partition(":")
    nodes = []
    for one in hosts.split(","):
        try:
            parts = urlsplit(f"//{one}")
            host, port = parts.hostname, parts.port or _PORT
        except ValueError as error:
            raise ValueError(f"{one!r} is no host:port of a cluster's node") from error
        if not host:
            raise ValueError(f"{scheme}:// needs nodes: host:port, several with commas between them")
        nodes.append((host, port))
    return ClusterAddress(
        tuple(nodes), unquote(user) or None, unquote(password) if mark else None, scheme == "rediss+cluster"
    )


def check_redis_url(url: str) -> None:
    """Raises ValueError for a URL that names no Redis, without showing a password."""
    scheme = url.partition("://")[0]
    if is_cluster(url):
        read_cluster_url(url)
    elif scheme not in SERVER_SCHEMES:
        known = ", ".join(f"{one}://" for one in (*SERVER_SCHEMES, *CLUSTER_SCHEMES))
        raise ValueError(f"REDIS_URL has an unknown scheme: expected one of {known}")


def network_of(url: str) -> str:
    """What two URLs of one Redis have in common: a cluster's nodes in any order and however one signs in.

    Two lists of which one leaves nodes out are two networks here: only a connection could tell.
    """
    if not is_cluster(url):
        return url
    return "cluster " + ",".join(sorted({f"{host}:{port}" for host, port in read_cluster_url(url).nodes}))


def name_of(url: str) -> str:
    """A Redis URL as it may be shown: without user, password and parameters."""
    if is_cluster(url):
        nodes = ",".join(f"{_shown(host)}:{port}" for host, port in read_cluster_url(url).nodes)
        return f"{url.partition('://')[0]}://{nodes}"
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    return f"{parts.scheme}://{_shown(parts.hostname or 'localhost')}:{parts.port or _PORT}{parts.path}"


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
