"""Channels in the Django admin: entered, tested, watched; the URL is never seen again."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from guardian.shortcuts import assign_perm
from pytest_django import Settings

from activity.models import Delivery, DeliveryEntry, Exchange, NotificationChannel, User
from tests.recorder.telling import SECRET, archive, error

pytestmark = pytest.mark.django_db

LIST = "/admin/activity/notificationchannel/"


@pytest.fixture(autouse=True)
def exchanges(settings: Settings) -> list[Exchange]:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return [Exchange.objects.create(name=name, display_name=name) for name in ("binance", "kraken")]


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def admin() -> Client:
    return signed_in(User.objects.create_superuser("admin@example.org", "nine green bottles"))


@pytest.fixture
def kraken_staff() -> Client:
    """Staff who may change channels and view kraken only."""
    user = User.objects.create_user("staff@example.org", "nine green bottles", is_staff=True)
    names = ["add_notificationchannel", "change_notificationchannel", "view_notificationchannel", "view_delivery"]
    user.user_permissions.add(*Permission.objects.filter(codename__in=names))
    assign_perm("activity.view_exchange", user, Exchange.objects.get(name="kraken"))
    return signed_in(user)


def form(**fields: object) -> dict[str, object]:
    return {"name": "ops", "new_url": f"json://user:{SECRET}@hooks.example.org/{SECRET}", "active": "on",
            "kinds": ["error", "lost"], **fields}  # fmt: skip


def said(page: bytes) -> str:
    return re.sub(r"<[^>]+>|\s+", " ", page.decode())


def test_a_channel_is_made_and_its_url_is_never_shown_again(admin: Client) -> None:
    answer = admin.post(f"{LIST}add/", form())
    assert answer.status_code == 302, said(answer.content)
    made = NotificationChannel.objects.get()
    assert made.url.count(SECRET) == 2
    pages = [admin.get(path).content for path in (LIST, f"{LIST}{made.pk}/change/", f"{LIST}{made.pk}/history/")]
    assert all(SECRET not in page.decode() for page in pages)
    assert "json://hooks.example.org/…" in pages[0].decode()


def test_a_url_of_no_service_is_refused_and_not_repeated(admin: Client) -> None:
    answer = admin.post(f"{LIST}add/", form(new_url=f"nonsense://{SECRET}"))
    assert answer.status_code == 200
    assert "Apprise cannot make a service of this URL" in answer.content.decode()
    assert SECRET not in answer.content.decode()
    assert not NotificationChannel.objects.exists()


def test_a_change_without_a_new_url_keeps_the_stored_one(admin: Client) -> None:
    admin.post(f"{LIST}add/", form())
    made = NotificationChannel.objects.get()
    answer = admin.post(f"{LIST}{made.pk}/change/", form(name="operations", new_url=""))
    assert answer.status_code == 302, said(answer.content)
    made.refresh_from_db()
    assert (made.name, SECRET in made.url) == ("operations", True)


def test_switching_a_channel_on_again_begins_at_the_newest_entry(admin: Client) -> None:
    admin.post(f"{LIST}add/", form())
    NotificationChannel.objects.update(active=False, since_ms=5)
    made = NotificationChannel.objects.get()
    admin.post(f"{LIST}{made.pk}/change/", form(new_url=""))
    made.refresh_from_db()
    assert made.since_ms > 5


def test_the_button_queues_a_test_and_shows_it(admin: Client) -> None:
    admin.post(f"{LIST}add/", form())
    made = NotificationChannel.objects.get()
    assert "Send a test" in admin.get(f"{LIST}{made.pk}/change/").content.decode()
    assert admin.get(f"{LIST}{made.pk}/test/").status_code == 405
    answer = admin.post(f"{LIST}{made.pk}/test/", follow=True)
    test = Delivery.objects.get()
    assert (test.test, test.state) == (True, "queued")
    assert "is queued" in said(answer.content)
    assert "asked for by admin@example.org" in said(answer.content)


def test_deliveries_are_only_looked_at_and_given_up(admin: Client) -> None:
    admin.post(f"{LIST}add/", form())
    channel = NotificationChannel.objects.get()
    stuck = Delivery.objects.create(channel=channel, state="waiting", reason="answered 400", parts=["a"])
    sent = Delivery.objects.create(channel=channel, state="sent", parts=["b"])
    page = f"/admin/activity/delivery/{stuck.pk}/"
    assert admin.post(f"{page}change/", {"state": "sent"}).status_code == 403
    assert admin.post(f"{page}delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "give_up", "_selected_action": [stuck.pk, sent.pk]}
    answer = admin.post("/admin/activity/delivery/", chosen, follow=True)
    assert "1 given up." in said(answer.content)
    stuck.refresh_from_db()
    sent.refresh_from_db()
    assert (stuck.state, sent.state) == ("given_up", "sent")
    assert "admin@example.org" in stuck.reason


def test_a_channel_goes_with_its_deliveries(admin: Client) -> None:
    admin.post(f"{LIST}add/", form())
    channel = NotificationChannel.objects.get()
    Delivery.objects.create(channel=channel, parts=["a"])
    admin.post(f"{LIST}{channel.pk}/delete/", {"post": "yes"})
    assert not NotificationChannel.objects.exists()
    assert not Delivery.objects.exists()


def test_what_a_user_may_not_view_is_neither_chosen_nor_seen(admin: Client, kraken_staff: Client) -> None:
    everything = form(name="everything")
    admin.post(f"{LIST}add/", everything)
    refused = kraken_staff.post(f"{LIST}add/", form(name="mine"))
    assert "you may not view all exchanges" in refused.content.decode()
    assert "binance" not in refused.content.decode()
    kraken = Exchange.objects.get(name="kraken")
    assert kraken_staff.post(f"{LIST}add/", form(name="mine", exchanges=[kraken.pk])).status_code == 302
    page = said(kraken_staff.get(LIST).content)
    assert "mine" in page
    assert "everything" not in page
    other = NotificationChannel.objects.get(name="everything")
    assert kraken_staff.post(f"{LIST}{other.pk}/test/").status_code == 404


def test_a_delivery_with_an_entry_that_a_user_may_not_view_is_not_seen(admin: Client, kraken_staff: Client) -> None:
    binance, kraken = Exchange.objects.order_by("name")
    admin.post(f"{LIST}add/", form(exchanges=[binance.pk, kraken.pk]))
    channel = NotificationChannel.objects.get()
    archive(binance.pk, error("secret of binance"))
    both = Delivery.objects.create(channel=channel, parts=["secret of binance"])
    DeliveryEntry.objects.create(delivery=both, channel=channel, entry=binance.archived_entries.get())
    own = Delivery.objects.create(channel=channel, parts=["of kraken"])
    channel.exchanges.set([kraken])
    listed = kraken_staff.get("/admin/activity/delivery/").content.decode()
    assert f"/admin/activity/delivery/{own.pk}/" in listed
    assert f"/admin/activity/delivery/{both.pk}/" not in listed
    assert kraken_staff.get(f"/admin/activity/delivery/{both.pk}/change/").status_code == 302
