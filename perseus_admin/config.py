"""Every setting of the environment, typed. Nobody else reads os.environ.

A missing or wrong setting stops the start and says its name; nothing is guessed.
"""

import argparse
import os
import re
import secrets
import sys
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, NoReturn, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from activity.store.urls import check_redis_url

BASE_DIR = Path(__file__).resolve().parent.parent
#: Where `make run` keeps its data when nothing else is said.
DEFAULT_DATA = BASE_DIR / "var"
#: A Unix socket's path has at most 107 bytes on Linux.
SOCKET_PATH_LIMIT = 107

CommaList = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """The environment of every process of Perseus. Units stand in the descriptions."""

    model_config = SettingsConfigDict(env_prefix="PERSEUS_", extra="ignore", frozen=True, env_ignore_empty=True)

    data: Path | None = Field(None, description="Data folder of the embedded Redis and SQLite, made by `make run`")
    database_url: str | None = Field(
        None, validation_alias="DATABASE_URL", description="postgresql://USER:PASSWORD@HOST:PORT/NAME, over TLS only"
    )
    database_ca: str = Field(
        "system", description="File of the authorities that sign Postgres' certificate; unset: the system's own"
    )
    redis_url: str | None = Field(
        None,
        validation_alias="REDIS_URL",
        description="redis[s]://, unix:// or redis[s]+cluster://HOST:PORT,… URL; unset: the embedded one",
    )
    secret_key: SecretStr | None = Field(None, description="Signs sessions; unset: the data folder's own")
    secret_key_fallbacks: CommaList = Field((), description="Earlier secret keys, comma separated, still accepted")
    allowed_hosts: CommaList = Field((), description="Host names that the web process answers to, comma separated")
    origins: CommaList = Field((), description="Further origins (https://host) of our pages, behind a TLS proxy")
    debug: bool = Field(default=False, description="Django's debug pages; never in production")
    heartbeat_seconds: int = Field(15, ge=1, le=3600, description="Seconds between heartbeats; TTL is three times it")
    hostname: str | None = Field(None, description="Host name of this machine where the system's own is no use")
    ip_lookup_urls: CommaList = Field(
        ("https://api.ipify.org", "https://ifconfig.me/ip", "https://icanhazip.com"),
        description="Asked in turn for this machine's public IP; empty text: look nothing up",
    )
    country_lookup_url: str = Field(
        "https://ipapi.co/{ip}/country/", description="Asked for the country code of the public IP"
    )
    admin_email: str = Field("admin@localhost", description="The first admin that `up` makes in an empty database")
    admin_password: SecretStr | None = Field(None, description="Its password; unset: generated and printed once")
    oidc_issuer: str | None = Field(None, description="https:// address of an OpenID Connect issuer to sign in with")
    oidc_client_id: str | None = Field(None, description="The issuer's name for Perseus")
    oidc_client_secret: SecretStr | None = Field(None, description="The issuer's secret for Perseus")
    oidc_name: str = Field("single sign-on", description="What the button on the sign-in page calls the issuer")
    port: int = Field(8000, validation_alias="PORT", ge=1, le=65535, description="Port of the web process of `up`")

    @field_validator("secret_key_fallbacks", "allowed_hosts", "origins", "ip_lookup_urls", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
                raise ValueError(f"{origin!r} is no origin: expected https://host or https://host:port")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis_url(cls, value: str | None) -> str | None:
        if value is not None:
            check_redis_url(value)
        return value

    @field_validator("data")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value else None

    @model_validator(mode="after")
    def _stores_are_named(self) -> Self:
        if self.data is None:
            missing = [
                name
                for name, value in (
                    ("DATABASE_URL", self.database_url),
                    ("REDIS_URL", self.redis_url),
                    ("PERSEUS_SECRET_KEY", self.secret_key),
                )
                if value is None
            ]
            if missing:
                raise ValueError(
                    f"{', '.join(missing)} not set. Set them, or set PERSEUS_DATA to the data folder of a running "
                    f"`make run` (usually {DEFAULT_DATA})"
                )
        if self.database_url is not None:
            postgres_options(self.database_url, self.database_ca)
        return self

    @model_validator(mode="after")
    def _issuer_is_whole(self) -> Self:
        given = {
            "PERSEUS_OIDC_ISSUER": self.oidc_issuer,
            "PERSEUS_OIDC_CLIENT_ID": self.oidc_client_id,
            "PERSEUS_OIDC_CLIENT_SECRET": self.oidc_client_secret,
        }
        missing = [name for name, value in given.items() if value is None]
        if missing and len(missing) < len(given):
            raise ValueError(f"{', '.join(missing)} not set: signing in with OpenID Connect needs all three, or none")
        if self.oidc_issuer is not None:
            parts = urlsplit(self.oidc_issuer)
            near = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
            if not parts.hostname or parts.query or parts.fragment or not (parts.scheme == "https" or near):
                raise ValueError(
                    f"PERSEUS_OIDC_ISSUER: {self.oidc_issuer!r} is no issuer: expected https://host or https://host/path"
                )
        return self

    @property
    def oidc_origin(self) -> str | None:
        """Scheme, host and port of the issuer, to which the sign-in page's form leads; None without one."""
        if self.oidc_issuer is None:
            return None
        parts = urlsplit(self.oidc_issuer)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def redis(self) -> str:
        """URL of the Redis to use: REDIS_URL, else the embedded one's socket in the data folder."""
        if self.redis_url is not None:
            return self.redis_url
        assert self.data is not None  # _stores_are_named
        return f"unix://{self.data / 'redis.sock'}"

    @cached_property
    def secret(self) -> str:
        """The secret key: the setting, else the data folder's file that `up` wrote."""
        if self.secret_key is not None:
            return self.secret_key.get_secret_value()
        assert self.data is not None  # _stores_are_named
        path = self.data / "secret-key"
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            refuse(
                f"PERSEUS_DATA={self.data}: no data folder of Perseus ({path.name} is missing). "
                f"Start `make run` with it first, or set PERSEUS_SECRET_KEY"
            )
        except OSError as error:
            refuse(f"PERSEUS_DATA={self.data}: {path.name} cannot be read: {error.strerror}")


#: Where systems keep the authorities that they trust. psycopg brings its own OpenSSL, whose own idea of the system's
#: authorities (`sslrootcert=system`) is a folder that exists nowhere.
SYSTEM_AUTHORITIES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)


#: Parameters that the environment must not decide. Empty text is libpq's "not set".
_PINNED = {
    "hostaddr": "",
    "options": "",
    "sslnegotiation": "postgres",
    "sslkeylogfile": "",
    "gssdelegation": "0",
    "channel_binding": "prefer",
    "target_session_attrs": "any",
    "load_balance_hosts": "disable",
}


def _libpq_parameters() -> set[str]:
    """The connection parameters of the libpq that psycopg brought; an older one knows fewer and refuses the others."""
    from psycopg import pq  # here, so that a process on SQLite does not load it

    return {option.keyword.decode() for option in pq.Conninfo.get_defaults()}


def authorities_file(name: str) -> str:
    """The file of authorities that sign Postgres' certificate. `system`: the system's own. Raises ValueError."""
    for candidate in SYSTEM_AUTHORITIES if name == "system" else (name,):
        if Path(candidate).is_file():
            return candidate
    if name == "system":
        raise ValueError("PERSEUS_DATABASE_CA is not set, and this system has no file of trusted authorities: set it")
    raise ValueError(f"PERSEUS_DATABASE_CA: {name} is no file")


def postgres_options(url: str, authorities: str) -> dict[str, Any]:
    """Django's DATABASES entry for a Postgres DSN. TLS with a verified host name is hard-coded.

    Raises ValueError for a DSN that asks for less, or that could go around TLS (a socket, an unknown parameter).
    """
    expected = "expected postgresql://USER:PASSWORD@HOST:PORT/NAME, special characters percent-encoded"
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
    except ValueError:
        raise ValueError(f"DATABASE_URL: {expected}") from None
    if parts.scheme not in ("postgres", "postgresql") or parts.fragment:
        raise ValueError(f"DATABASE_URL: {expected}")
    host = unquote(parts.hostname or "")
    if not re.fullmatch(r"[A-Za-z0-9._:-]+", host):
        raise ValueError("DATABASE_URL: one host name is needed; a socket has no TLS, a list has no single certificate")
    name = unquote(parts.path.removeprefix("/"))
    if not name or not parts.username:
        raise ValueError(f"DATABASE_URL: USER and NAME are needed: {expected}")
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key == "sslmode" and value == "verify-full":
            continue
        if key == "sslmode":
            raise ValueError(f"DATABASE_URL: sslmode={value} asks for less than verify-full; TLS is not configurable")
        raise ValueError(f"DATABASE_URL: parameter {key!r} is not accepted; TLS is hard-coded, the rest has settings")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(port),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "sslmode": "verify-full",
            "sslrootcert": authorities_file(authorities),
            "ssl_min_protocol_version": "TLSv1.2",
            "gssencmode": "disable",  # Kerberos encryption would take TLS' place
            "connect_timeout": 5,
            # What is given here, libpq takes neither from PG* variables nor from a PGSERVICE file. The rest of what
            # these could say about a connection is therefore said, too, where this libpq knows it.
            **{name: value for name, value in _PINNED.items() if name in _libpq_parameters()},
        },
    }


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process. Ends it with a sentence per wrong setting."""
    try:
        return Settings()
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_url=False, include_input=False):
            name = "_".join(str(part) for part in problem["loc"]).upper()
            if name and not name.startswith(("PERSEUS_", "DATABASE_URL", "REDIS_URL", "PORT")):
                name = f"PERSEUS_{name}"
            message = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{name}: {message}" if name else message)
        refuse("\n".join(lines))


def refuse(reason: str) -> NoReturn:
    """End the process before it has started anything: the settings are wrong. Exit code 2."""
    print(f"Perseus cannot start.\n{reason}", file=sys.stderr)
    raise SystemExit(2)


def adopt_data_folder(arguments: list[str]) -> None:
    """Make the data folder that `up` runs in, with its secret key, and name it in the environment for all children.

    `--data DIR` goes before PERSEUS_DATA, and that before `var/` beside manage.py. Ends the process where the folder
    cannot be written.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--data")
    known, _ = parser.parse_known_args(arguments)
    folder = Path(known.data or os.environ.get("PERSEUS_DATA") or DEFAULT_DATA).expanduser().absolute()
    secret = folder / "secret-key"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not secret.exists():
            descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(48))
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except FileExistsError:
        refuse(f"--data: {folder} is no folder")
    except OSError as error:
        refuse(f"--data: {folder} cannot be written: {error.strerror}. Name another with --data or PERSEUS_DATA")
    if len(os.fsencode(folder / "redis.sock")) > SOCKET_PATH_LIMIT and not os.environ.get("REDIS_URL"):
        refuse(
            f"--data: {folder} is too long: the path of the embedded Redis' socket may have {SOCKET_PATH_LIMIT} bytes. "
            f"Name a shorter folder, or set REDIS_URL"
        )
    os.environ["PERSEUS_DATA"] = str(folder)
