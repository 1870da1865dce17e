"""Rules that hold for all pages."""

import re
from pathlib import Path
from typing import cast

import pytest
from django.contrib.staticfiles import finders
from django.http import HttpResponse

from activity.models import User
from perseus_admin.config import BASE_DIR
from tests.pages.conftest import SignIn
from tests.pages.reading import page_of

PATHS = ["/", "/exchanges/kraken/", "/schemas/", "/exchanges/unknown/", "/no/such/page/"]
TEMPLATES = sorted((BASE_DIR / "templates").rglob("*.html"))


@pytest.fixture(params=PATHS)
def answer(request: pytest.FixtureRequest, sign_in: SignIn, admin: User) -> HttpResponse:
    """One page after the other."""
    return cast("HttpResponse", sign_in(admin).get(request.param))


def test_the_policy_allows_our_own_scripts_and_styles_alone(answer: HttpResponse) -> None:
    policy = answer["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "style-src 'self'" in policy
    assert "unsafe" not in policy


def test_a_page_has_one_heading_of_the_first_rank_a_title_and_a_skip_link(answer: HttpResponse) -> None:
    page = page_of(answer)
    assert len(page.all(tag="h1")) == 1
    assert page.one(tag="title").children
    assert page.all(href="#main")
    assert page.all(id="main")


def test_every_file_that_a_page_names_exists(answer: HttpResponse) -> None:
    named = re.findall(r'(?:href|src)="/static/([^"#]+)', answer.content.decode())
    assert named
    assert [name for name in named if finders.find(name) is None] == []


def test_every_icon_that_a_page_names_is_in_the_sprite(answer: HttpResponse) -> None:
    sprite = (BASE_DIR / "static" / "icons.svg").read_text(encoding="utf-8")
    named = set(re.findall(r'icons\.svg#([\w-]+)"', answer.content.decode()))
    assert named
    assert [name for name in named if f'<symbol id="{name}"' not in sprite] == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_carries_styles_or_scripts_of_its_own(template: Path) -> None:
    source = template.read_text(encoding="utf-8")
    assert not re.search(r"\sstyle=|\son\w+=|<style|<script(?![^>]*\ssrc=)|javascript:", source)


def test_nothing_is_loaded_from_another_host() -> None:
    static = BASE_DIR / "static"
    sources = [*static.glob("css/*.css"), *static.glob("js/*.js"), *TEMPLATES]
    assert [path.name for path in sources if re.search(r"""(?:url\(|["'])(?:https?:)?//""", path.read_text())] == []


def test_vendored_files_have_their_licences_and_name_no_registry() -> None:
    vendor = BASE_DIR / "static" / "vendor"
    assert len(list(vendor.glob("LICENSE-*.txt"))) == 3
    assert "resolved" not in (vendor / "package-lock.json").read_text()
