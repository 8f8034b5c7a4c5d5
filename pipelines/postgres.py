"""PostgreSQL as Dagster's storage, for addresses as people write them: `postgresql://user:password@host/database`.

SQLAlchemy 2.1 reads such an address as one for psycopg 3, with which dagster-postgres cannot send its notifications.
`PostgresStorage` names the driver that works. deploy/postgres/dagster.yaml selects it. Dagster passes the content of
dagster.yaml to its processes on their command lines, which every user of the machine can list: a password in it is
refused.
"""

from __future__ import annotations

from typing import Any

import yaml
from dagster._core.storage.config import PostgresStorageConfig
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import get_token_provider_from_config, pg_url_from_config
from sqlalchemy.engine import make_url

from mvmodel.errors import InputError

DRIVER = "postgresql+psycopg2"


class PostgresStorage(DagsterPostgresStorage):
    """Dagster's PostgreSQL storage; the address needs no driver's name."""

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls, inst_data: ConfigurableClassData | None, config_value: PostgresStorageConfig
    ) -> PostgresStorage:
        options: Any = config_value
        if inst_data is not None:
            check_no_password(yaml.safe_load(inst_data.config_yaml) or {})
        return cls(
            inst_data=inst_data,
            postgres_url=add_driver(pg_url_from_config(options)),
            should_autocreate_tables=options.get("should_autocreate_tables", True),
            token_provider=get_token_provider_from_config(options),
        )


def check_no_password(config: dict[str, Any]) -> None:
    """Raise InputError if the storage's part of dagster.yaml holds a password itself."""
    address, parts = config.get("postgres_url"), config.get("postgres_db")
    in_address = isinstance(address, str) and make_url(add_driver(address)).password
    if in_address or (isinstance(parts, dict) and isinstance(parts.get("password"), str)):
        raise InputError(
            "dagster.yaml holds PostgreSQL's password, which lists of processes would show; write "
            "`postgres_url: {env: MVMODEL_POSTGRES_URL}` and set that variable"
        )


def add_driver(address: str) -> str:
    """The address with psycopg2 as its driver, unless it names one itself.

    address: postgres://, postgresql:// or postgresql+driver://.
    """
    url = make_url(address.replace("postgres://", "postgresql://", 1) if address.startswith("postgres://") else address)
    return url.set(drivername=DRIVER if url.drivername == "postgresql" else url.drivername).render_as_string(
        hide_password=False
    )
