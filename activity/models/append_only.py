"""Tables to which rows are added and in which none is ever changed, kept so by the database itself."""

from typing import Any, Final

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models.constraints import BaseConstraint

#: The function that Postgres' triggers call; schema.sql has the same text.
_FUNCTION: Final = (
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ "
    "BEGIN RAISE EXCEPTION '% is append-only, % is refused', TG_TABLE_NAME, TG_OP "
    "USING ERRCODE = 'integrity_constraint_violation'; END $$"
)


class AppendOnly(BaseConstraint):
    """UPDATE, DELETE and TRUNCATE are refused by triggers, whoever sends them. `name` begins the triggers' names."""

    def constraint_sql(self, model: type[models.Model] | None, schema_editor: BaseDatabaseSchemaEditor | None) -> Any:
        """Nothing within CREATE TABLE: the triggers follow once the table is there."""
        assert model is not None
        assert schema_editor is not None
        schema_editor.deferred_sql.extend(self._statements(model, schema_editor))

    def create_sql(self, model: type[models.Model] | None, schema_editor: BaseDatabaseSchemaEditor | None) -> Any:
        """Not used: Atlas changes Postgres, and an SQLite database is made anew."""
        raise NotImplementedError

    remove_sql = create_sql

    def validate(self, *args: Any, **options: Any) -> None:
        """Nothing about a new row can break it."""

    def _statements(self, model: type[models.Model], editor: BaseDatabaseSchemaEditor) -> list[str]:
        table = model._meta.db_table  # noqa: SLF001 - documented by Django under this name
        if editor.connection.vendor == "postgresql":
            return [_FUNCTION] + [
                f"CREATE TRIGGER {self.name}_{name} BEFORE {what} EXECUTE FUNCTION refuse_change()"
                for name, what in (
                    ("rows", f"UPDATE OR DELETE ON {table} FOR EACH ROW"),
                    ("table", f"TRUNCATE ON {table} FOR EACH STATEMENT"),
                )
            ]
        return [
            f"CREATE TRIGGER {self.name}_{operation.lower()} BEFORE {operation} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only, {operation} is refused'); END"
            for operation in ("UPDATE", "DELETE")
        ]
