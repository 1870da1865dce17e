"""Signals that become audit events: sign-ins, and every change of people, rights, exchanges, tokens and channels.

`queryset.update()` and `bulk_create()` send no signals: whoever uses them on one of these models records by hand.
"""

from collections.abc import Iterable
from typing import Any, Final

from axes.signals import user_locked_out
from django.contrib.auth.models import Group, Permission
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import models
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_save
from django.http import HttpRequest
from django.utils.translation import override
from guardian.models import GroupObjectPermission, UserObjectPermission

from activity.audit import Action, acting, record
from activity.models import ApiToken, Exchange, NotificationChannel, User, WallLink, login_name

#: Rows whose changes are recorded, and what of them is not: it changes by itself, or is only a shadow of a secret.
_WATCHED: Final[dict[type[models.Model], frozenset[str]]] = {
    Exchange: frozenset(),
    User: frozenset({"last_login"}),
    Group: frozenset(),
    ApiToken: frozenset({"digest"}),
    WallLink: frozenset({"digest"}),
    NotificationChannel: frozenset({"since_ms", "paced_until", "retry_at", "failures", "shown_url"}),
}
#: Columns that are never shown: that they were changed is.
_SECRET: Final = frozenset({"password", "url"})
_RIGHTS: Final[tuple[type[models.Model], ...]] = (UserObjectPermission, GroupObjectPermission)
_MANY: Final = (
    User.groups.through,
    User.user_permissions.through,
    Group.permissions.through,
    NotificationChannel.exchanges.through,
    WallLink.exchanges.through,
)


def connect() -> None:
    """Listen. May be called again."""
    for model in _WATCHED:
        name = model.__name__
        pre_save.connect(_remember, sender=model, dispatch_uid=f"audit before {name}")
        post_save.connect(_saved, sender=model, dispatch_uid=f"audit saved {name}")
        post_delete.connect(_deleted, sender=model, dispatch_uid=f"audit deleted {name}")
    for right in _RIGHTS:
        post_save.connect(_granted, sender=right, dispatch_uid=f"audit granted {right.__name__}")
        post_delete.connect(_withdrawn, sender=right, dispatch_uid=f"audit withdrawn {right.__name__}")
    for through in _MANY:
        m2m_changed.connect(_many_changed, sender=through, dispatch_uid=f"audit {through.__name__}")
    user_logged_in.connect(_signed_in, dispatch_uid="audit signed in")
    user_logged_out.connect(_signed_out, dispatch_uid="audit signed out")
    user_login_failed.connect(_sign_in_failed, dispatch_uid="audit sign-in failed")
    user_locked_out.connect(_sign_in_paused, dispatch_uid="audit sign-in paused")


def _columns(row: models.Model) -> dict[str, Any]:
    """What is recorded of a row, secrets as they are."""
    left_out = _WATCHED[type(row)]
    return {f.name: f.value_from_object(row) for f in row._meta.concrete_fields if f.name not in left_out}


def _shown(columns: dict[str, Any], mark: str) -> dict[str, Any]:
    return {name: mark if name in _SECRET and value else value for name, value in columns.items()}


def _subject(row: models.Model) -> str:
    return f"{row._meta.verbose_name_raw} {row}"


def _exchange(row: models.Model) -> Exchange | None:
    return row if isinstance(row, Exchange) else None


def _remember(sender: type[models.Model], instance: models.Model, **_: Any) -> None:
    before = sender._default_manager.filter(pk=instance.pk).first() if instance.pk else None
    instance._audited_before = _columns(before) if before else None  # type: ignore[attr-defined]


def _saved(instance: models.Model, created: bool, raw: bool, **_: Any) -> None:
    if raw:
        return  # a fixture
    before: dict[str, Any] | None = instance.__dict__.pop("_audited_before", None)
    after = _columns(instance)
    if created or before is None:
        record(Action.CREATED, _subject(instance), exchange=_exchange(instance), after=_shown(after, "[secret]"))
        return
    changed = {name for name in after if after[name] != before.get(name)}
    if changed:
        record(
            Action.CHANGED,
            _subject(instance),
            exchange=_exchange(instance),
            before=_shown({name: before.get(name) for name in changed}, "[secret]"),
            after=_shown({name: after[name] for name in changed}, "[another secret]"),
        )


def _deleted(instance: models.Model, **_: Any) -> None:
    before = _shown(_columns(instance), "[secret]")
    record(Action.DELETED, _subject(instance), exchange=_exchange(instance), before=before)


def _right(row: Any) -> tuple[str, Exchange | None, dict[str, Any]]:
    holder = getattr(row, "user", None) or getattr(row, "group", None)
    exchange = Exchange.objects.filter(pk=row.object_pk).first() if row.content_type.model == "exchange" else None
    with override(None):  # what is stored is English, whatever its writer reads
        told = {
            "right": row.permission.codename,
            "on": exchange.name if exchange else f"{row.content_type} {row.object_pk}",
        }
    return f"{holder._meta.verbose_name_raw} {holder}" if holder else "", exchange, told


def _granted(instance: models.Model, created: bool, **_: Any) -> None:
    if created:
        subject, exchange, told = _right(instance)
        record(Action.GRANTED, subject, exchange=exchange, after=told)


def _withdrawn(instance: models.Model, **_: Any) -> None:
    subject, exchange, told = _right(instance)
    record(Action.WITHDRAWN, subject, exchange=exchange, before=told)


def _many_changed(
    instance: models.Model,
    action: str,
    reverse: bool,
    model: type[models.Model],
    pk_set: Iterable[Any] | None,
    **_: Any,
) -> None:
    """Groups of a user, rights of a user or group, exchanges of a channel or of a wall link."""
    if action == "pre_clear":
        gone = list(_related(instance, model))
    elif action in ("post_add", "post_remove") and pk_set:
        gone = list(model._default_manager.filter(pk__in=pk_set))
    else:
        return
    if not gone:
        return
    rights = issubclass(model, (Group, Permission)) or (reverse and isinstance(instance, (Group, Permission)))
    added = action == "post_add"
    what = Action.CHANGED if not rights else Action.GRANTED if added else Action.WITHDRAWN
    with override(None):  # what is stored is English, whatever its writer reads
        told = {str(model._meta.verbose_name_plural): sorted(str(row) for row in gone)}
    record(what, _subject(instance), **{"after" if added else "before": told})  # type: ignore[arg-type]


def _related(instance: models.Model, model: type[models.Model]) -> Iterable[models.Model]:
    fields: list[Any] = [*instance._meta.many_to_many, *instance._meta.related_objects]
    for field in fields:
        if field.related_model is model and field.many_to_many:
            yield from getattr(instance, field.get_accessor_name() if field.auto_created else field.name).all()


def _signed_in(request: HttpRequest | None, user: User, **_: Any) -> None:
    if request is not None:
        with acting(request):
            record(Action.SIGNED_IN, actor=user)
    else:
        record(Action.SIGNED_IN, actor=user)


def _signed_out(user: User | None, **_: Any) -> None:
    if user is not None:
        record(Action.SIGNED_OUT, actor=user)


def _sign_in_failed(credentials: dict[str, Any], **_: Any) -> None:
    record(
        Action.SIGN_IN_FAILED, f"user {login_name(str(credentials.get('username') or credentials.get('email') or ''))}"
    )


def _sign_in_paused(username: str | None = None, ip_address: str | None = None, **_: Any) -> None:
    record(Action.SIGN_IN_PAUSED, f"user {login_name(username)}", reason=f"too many failures from {ip_address}")
