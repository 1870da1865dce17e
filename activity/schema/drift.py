"""Whether the database is what it should be: schema.sql on Postgres, the models on SQLite."""

from pathlib import Path
from typing import Final

from django.apps import apps
from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.utils.translation import gettext as _

from activity.schema.catalog import Catalog, differences, postgres_catalog, sqlite_catalog
from activity.schema.usage import DatabaseInUse, hold
from perseus_admin.config import BASE_DIR, refuse

SCHEMA_SQL: Final = BASE_DIR / "schema.sql"
ATLAS_COMMAND: Final = "atlas schema apply --env postgres"
#: Told instead of every table that is missing.
EMPTY: Final = "it is empty"
#: A database of another program, or an empty one, differs in everything: this many lines say enough.
SHOWN_DIFFERENCES: Final = 40


class CannotCompare(Exception):
    """The database cannot be compared. `str()` says why and what to do."""


def database_file(connection: BaseDatabaseWrapper) -> Path | None:
    """The file of an SQLite database; None for Postgres and for a database in memory."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor != "sqlite" or name == ":memory:" or name.startswith("file:"):
        return None
    return Path(name)


def find_drift(alias: str = "default") -> list[str]:
    """A sentence for each difference between the database and its truth, by name. Raises CannotCompare."""
    connection = connections[alias]
    was_open = connection.connection is not None
    try:
        if connection.vendor == "postgresql":
            return _postgres_drift(connection)
        file = database_file(connection)
        if file and not file.exists():  # connecting would make an empty file
            return [EMPTY]
        with connection.cursor() as cursor:
            found = sqlite_catalog(cursor)
        return [EMPTY] if not found else differences(models_catalog(connection), found, "the models")
    except DatabaseError as error:
        raise CannotCompare(f"The database cannot be used: {str(error).strip()}") from error
    finally:
        if not was_open and not connection.in_atomic_block:
            connection.close()


def create_tables(editor: BaseDatabaseSchemaEditor) -> None:
    """Make the tables of all models of all apps."""
    for model in apps.get_models():
        options = model._meta  # noqa: SLF001 - documented by Django under this name
        if options.managed and not options.proxy and not options.swapped:
            editor.create_model(model)


def scratch_connection(connection: BaseDatabaseWrapper, name: str) -> BaseDatabaseWrapper:
    """A connection to another SQLite database, in a file or `:memory:`, with none of the options of the first."""
    return type(connection)({**connection.settings_dict, "NAME": name, "OPTIONS": {}}, alias="scratch")


def models_catalog(connection: BaseDatabaseWrapper) -> Catalog:
    """What SQLite holds when the models have just made it."""
    scratch = scratch_connection(connection, ":memory:")
    try:
        with scratch.schema_editor(atomic=False) as editor:
            create_tables(editor)
        with scratch.cursor() as cursor:
            return sqlite_catalog(cursor)
    finally:
        scratch.connection.close()  # the wrapper's own close() keeps databases in memory open


def _postgres_drift(connection: BaseDatabaseWrapper) -> list[str]:
    """Load schema.sql as temporary tables beside the real ones, compare, and take everything back."""
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(current_schema()), current_schema()::regnamespace::oid")
        schema, schema_oid = cursor.fetchone()
        if schema is None:
            raise CannotCompare("The database has no schema on the search path of this role: create one, e.g. public")
        # pg_temp is named last: where it is not named, Postgres looks there first.
        cursor.execute(f"SET LOCAL search_path = {schema}, pg_temp")
        found = postgres_catalog(cursor, schema_oid)
        cursor.execute(f"SET LOCAL search_path = pg_temp, {schema}")
        try:
            cursor.execute(SCHEMA_SQL.read_text())
        except DatabaseError as error:
            state = getattr(error.__cause__, "sqlstate", None)
            if state == "42883":  # undefined_function: Postgres never looks for one in pg_temp, and the real one lacks
                transaction.set_rollback(True, using=connection.alias)
                return [str(error).strip().partition("\n")[0]] if found else [EMPTY]
            if state != "42501":  # insufficient_privilege
                raise
            raise CannotCompare(
                "The database cannot be compared with schema.sql: this role may not make temporary tables. As the "
                "database's owner: GRANT TEMPORARY ON DATABASE … TO …"
            ) from error
        cursor.execute("SELECT pg_my_temp_schema()")
        expected = postgres_catalog(cursor, cursor.fetchone()[0])
        transaction.set_rollback(True, using=connection.alias)
    return [EMPTY] if not found else differences(expected, found, "schema.sql")


def remedy(alias: str, drift: list[str]) -> str:
    """The command that brings a drifted database back."""
    if connections[alias].vendor == "postgresql":
        return _("Run `%(command)s`, then `python manage.py prepare`. atlas.hcl says more.") % {
            "command": ATLAS_COMMAND
        }
    if drift == [EMPTY]:
        return _("Run `python manage.py prepare`, which makes the tables.")
    return _(
        "Stop every process of Perseus and run `python manage.py carry_over`: rows are copied, the old file is kept."
    )


def describe(drift: list[str]) -> str:
    """The differences, one per line, and how many more there are."""
    lines = [f"  - {line}" for line in drift[:SHOWN_DIFFERENCES]]
    if len(drift) > SHOWN_DIFFERENCES:
        lines.append(f"  - … and {len(drift) - SHOWN_DIFFERENCES} more")
    return "\n".join(lines)


def require_current_schema(alias: str = "default") -> None:
    """End the process (exit code 2) where the database is not what it should be, naming each difference and the remedy.

    Every process calls it once when it starts, before it uses the database. From then on, until the process ends, an
    embedded database cannot be carried over.
    """
    try:
        if (file := database_file(connections[alias])) and file.exists():
            hold(file)
        drift = find_drift(alias)
    except (CannotCompare, DatabaseInUse) as error:
        refuse(str(error))
    if drift:
        truth = "schema.sql" if connections[alias].vendor == "postgresql" else "the models"
        refuse(f"The database differs from {truth}:\n{describe(drift)}\n{remedy(alias, drift)}")
