"""PostgreSQL as Dagster's storage, for addresses as people write them: `postgresql://user:password@host/database`.

SQLAlchemy 2.1 reads such an address as one for psycopg 3, with which dagster-postgres cannot send its notifications.
`PostgresStorage` names the driver that works. deploy/postgres/dagster.yaml selects it.
"""

from __future__ import annotations

from typing import Any

from dagster._core.storage.config import PostgresStorageConfig
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import get_token_provider_from_config, pg_url_from_config
from sqlalchemy.engine import make_url

DRIVER = "postgresql+psycopg2"


class PostgresStorage(DagsterPostgresStorage):
    """Dagster's PostgreSQL storage; the address needs no driver's name."""

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls, inst_data: ConfigurableClassData | None, config_value: PostgresStorageConfig
    ) -> PostgresStorage:
        options: Any = config_value
        return cls(
            inst_data=inst_data,
            postgres_url=add_driver(pg_url_from_config(options)),
            should_autocreate_tables=options.get("should_autocreate_tables", True),
            token_provider=get_token_provider_from_config(options),
        )


def add_driver(address: str) -> str:
    """The address with psycopg2 as its driver, unless it names one itself.

    address: postgres://, postgresql:// or postgresql+driver://.
    """
    url = make_url(address.replace("postgres://", "postgresql://", 1) if address.startswith("postgres://") else address)
    return url.set(drivername=DRIVER if url.drivername == "postgresql" else url.drivername).render_as_string(
        hide_password=False
    )
