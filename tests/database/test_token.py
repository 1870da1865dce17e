"""`manage.py token` prints a token that a script can take."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from activity.models import ApiToken, Exchange, User

pytestmark = pytest.mark.usefixtures("current_sqlite")


def test_standard_output_is_the_token_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    user = User.objects.create_user("ada@example.org")
    call_command("token", "Ada@example.org", name="grafana")
    output = capsys.readouterr()
    [token] = ApiToken.objects.all()
    assert token.digest == ApiToken.digest_of(output.out.removesuffix("\n"))
    assert (token.user, token.name) == (user, "grafana")
    assert "never again" in output.err


@pytest.mark.parametrize(
    ("email", "name", "said"),
    [
        ("nobody@example.org", "x", "There is no user with the e-mail nobody@example.org"),
        ("gone@example.org", "x", "gone@example.org is not active"),
        ("ada@example.org", " ", "--name"),
        ("ada@example.org", "x" * 101, "--name"),
    ],
)
def test_a_token_for_nobody_or_nothing_is_refused(email: str, name: str, said: str) -> None:
    User.objects.create_user("ada@example.org")
    User.objects.create_user("gone@example.org", is_active=False)
    with pytest.raises(CommandError, match=said):
        call_command("token", email, name=name)
    assert not ApiToken.objects.exists()


def test_it_does_not_touch_a_database_of_another_schema(
    current_sqlite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE api_tokens ADD COLUMN x int")
    with pytest.raises(SystemExit):
        call_command("token", "ada@example.org", name="x")
    assert "column api_tokens.x is not in the models" in capsys.readouterr().err


def test_the_database_itself_refuses_names_and_emails_in_upper_case() -> None:
    for model in (Exchange(name="Kraken"), User(email="Ada@example.org")):
        with pytest.raises(IntegrityError, match="_lower"), transaction.atomic():
            model.save()
