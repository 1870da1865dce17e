"""A page with its filter under a name of one's own."""

from django.test import Client

from activity.models import SavedView, User
from tests.pages.conftest import SignIn
from tests.pages.reading import page_of


def save(client: Client, name: str, path: str = "/exchanges/kraken/", query: str = "?event=error&text=book") -> int:
    return client.post("/views/", {"name": name, "path": path, "query": query}).status_code


def test_a_saved_view_leads_back_to_the_page_with_its_filter(sign_in: SignIn, kraken_viewer: User) -> None:
    client = sign_in(kraken_viewer)
    answer = client.post("/views/", {"name": " Book  trouble ", "path": "/exchanges/kraken/", "query": "?event=error"})
    assert answer["Location"] == "/exchanges/kraken/?event=error"
    link = page_of(client.get("/")).one(class_="saved-list").one(href="/exchanges/kraken/?event=error")
    assert link.text == "Book trouble"
    assert save(client, "Book trouble", "/", "?text=checksum") == 302  # the same name leads elsewhere now
    assert [view.url for view in SavedView.objects.all()] == ["/?text=checksum"]


def test_what_is_no_view_is_not_kept(sign_in: SignIn, kraken_viewer: User) -> None:
    client = sign_in(kraken_viewer)
    for path in ("/exchanges/binance/", "/account/", "https://example.org/", "//example.org"):
        assert save(client, "elsewhere", path) == 404, path
    for name, query in (("", ""), ("x" * 61, ""), ("no state", "?state=running")):
        answer = client.post("/views/", {"name": name, "path": "/", "query": query}, follow=True)
        assert "Not saved." in page_of(answer).text
    assert save(client, "kept", "/", "?text=a&next=https://example.org/&before=1-1") == 302
    assert [view.url for view in SavedView.objects.all()] == ["/?text=a"]


def test_fifty_are_the_most(sign_in: SignIn, kraken_viewer: User) -> None:
    client = sign_in(kraken_viewer)
    SavedView.objects.bulk_create([SavedView(user=kraken_viewer, name=f"{n}", path="/") for n in range(50)])
    answer = client.post("/views/", {"name": "one more", "path": "/"}, follow=True)
    assert "50 views are the most" in page_of(answer).text
    assert save(client, "7") == 302
    assert SavedView.objects.get(name="7").path == "/exchanges/kraken/"


def test_everybody_deletes_their_own_alone(sign_in: SignIn, kraken_viewer: User, admin: User) -> None:
    theirs = SavedView.objects.create(user=admin, name="theirs", path="/")
    mine = SavedView.objects.create(user=kraken_viewer, name="mine", path="/")
    client = sign_in(kraken_viewer)
    assert "theirs" not in page_of(client.get("/")).text
    assert client.post(f"/views/{theirs.pk}/delete/").status_code == 404
    assert client.post(f"/views/{mine.pk}/delete/", {"path": "/"})["Location"] == "/"
    assert list(SavedView.objects.all()) == [theirs]
