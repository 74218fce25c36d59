"""Where Optuna keeps a study: a journal in the folder of results, or a PostgreSQL database that many hosts write to.

Whatever keeps a database from being used is a ``UserError`` of one line, in which the password is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doping.errors import UserError, hide_passwords, suggestion

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

CONNECT_SECONDS = 5
"""How long to wait for an answer of the database."""

_DRIVER = "postgresql+psycopg"
_SCHEMES = ("postgresql", "postgres", _DRIVER)
_SCHEMA_LOCK = 0x4C53544D  # any number that no other program takes


def check(url: str) -> None:
    """Whether a database can be used, found out quickly, before anything else is begun. Raises ``UserError``."""
    shown = hide_passwords(url)
    scheme, separator, _ = url.partition("://")
    if scheme.partition("+")[0] == "sqlite":
        raise UserError(
            f"--storage {shown}: SQLite fails with several writers at once; leave --storage out for a journal in the "
            "folder, or give postgresql://user@host/database"
        )
    if not separator or scheme not in _SCHEMES:
        hint = suggestion(scheme, _SCHEMES[:1]) if separator else "this is no URL"
        raise UserError(f"--storage {shown}: expected postgresql://user@host/database; {hint}")
    try:
        import psycopg
    except ImportError as error:
        raise UserError("--storage needs the package psycopg: pip install -r requirements-cluster.txt") from error
    try:
        psycopg.connect(**_parameters(url)).close()
    except psycopg.Error as error:
        raise _trouble(url, error) from error


def open_storage(url: str | None, folder: Path, notice: Callable[[str], None]) -> BaseStorage:
    """Open the database, or the journal in a folder of results where there is no ``url``; make its tables if need be.

    Raises ``UserError`` if the database cannot be used, ``OSError`` if the folder cannot be written to.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if url:
        return _open_database(url)
    from sweeps.optuna_view.journal import open_journal

    return open_journal(folder, notice)


def study_name(url: str | None, study: str, folder: Path) -> str:
    """Name of a study in Optuna: a database may hold those of many folders, so there the folder is a part of it."""
    return f"{study} in {folder}" if url else study


@contextmanager
def troubles_of(url: str | None) -> Iterator[None]:
    """Turns what Optuna raises while its database is gone into a ``UserError``."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause and type(cause).__module__.partition(".")[0] not in ("psycopg", "sqlalchemy"):
            cause = cause.__cause__
        if url and cause:
            raise _trouble(url, cause, "; the results are safe, and the same command goes on when it is back") from error
        raise


def _open_database(url: str) -> BaseStorage:
    import psycopg
    import sqlalchemy
    from optuna.storages import RDBStorage

    engine_url = sqlalchemy.make_url(url).set(drivername=_DRIVER).render_as_string(hide_password=False)
    options = {"connect_args": {"connect_timeout": CONNECT_SECONDS}, "pool_pre_ping": True}
    # Two processes that make the tables at once would fail, so one waits for the other.
    with troubles_of(url), psycopg.connect(**_parameters(url)) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_SCHEMA_LOCK,))
        return RDBStorage(engine_url, engine_kwargs=options)


def _parameters(url: str) -> dict[str, Any]:
    """How to connect to the database of a URL. Raises ``UserError`` for a malformed one."""
    import sqlalchemy

    try:
        made = sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise UserError(f"--storage {hide_passwords(url)}: expected postgresql://user@host:port/database") from error
    if not made.database:
        raise UserError(f"--storage {hide_passwords(url)}: names no database; expected postgresql://user@host/database")
    named = {
        "host": made.host,
        "port": made.port,
        "user": made.username,
        "password": made.password,
        "dbname": made.database,
        "connect_timeout": CONNECT_SECONDS,
    }
    return {name: value for name, value in named.items() if value is not None} | dict(made.query)


def _trouble(url: str, error: BaseException, advice: str = "") -> UserError:
    # The driver adds where it looked, and to which lines of which statement it objects.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = next(
        (line for line in lines if "FATAL" in line or "failed:" in line), lines[0] if lines else type(error).__name__
    )
    reason = reason.rpartition("FATAL:")[2].strip()
    return UserError(f"--storage {hide_passwords(url)}: {hide_passwords(reason)}{advice}")
