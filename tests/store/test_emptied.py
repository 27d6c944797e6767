"""The tests' own PostgreSQL: a database that is emptied is like a new one."""

from __future__ import annotations

import psycopg
import pytest

from tests.postgres import Postgres

_SCHEMAS = "SELECT nspname, nspowner::regrole::text, nspacl::text FROM pg_namespace ORDER BY 1"
_SETTINGS = """
SELECT setconfig::text FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase
WHERE d.datname = current_database()
"""
_NAMES = "SELECT relname::text FROM pg_class UNION ALL SELECT proname::text FROM pg_proc ORDER BY 1"
_QUERIES = (_SCHEMAS, _SETTINGS, _NAMES)
_CHANGES = (
    "CREATE TABLE one (two integer)",
    "CREATE FUNCTION three() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA shadow",
    "CREATE TABLE shadow.one (two integer)",
    "REVOKE USAGE ON SCHEMA public FROM PUBLIC",
)


def test_an_emptied_database_is_as_a_new_one(postgres: Postgres) -> None:
    new, used = postgres.create_database(), postgres.create_database()
    with psycopg.connect(used, autocommit=True) as user:
        for each in _CHANGES:
            user.execute(each.encode())
        user.execute(f'ALTER DATABASE "{user.info.dbname}" SET work_mem = 64'.encode())
        found = [psql(used, each) for each in _QUERIES]
        assert all(each != psql(new, sql) for each, sql in zip(found, _QUERIES, strict=True))
        user.execute("BEGIN; LOCK TABLE one")
        postgres.empty_database(used)
        with pytest.raises(psycopg.OperationalError):
            user.execute("SELECT 1")
    for sql in _QUERIES:
        assert psql(used, sql) == psql(new, sql)
    for url in (new, used):
        postgres.discard_database(url)


def psql(url: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(sql.encode()).fetchall()
