"""Rows of tables from dictionaries: columns that are not said are null."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from lakeloom.lakehouse.store import Lakehouse
from lakeloom.lakehouse.tables import table


def append(lake: Lakehouse, name: str, rows: Sequence[Mapping[str, Any]], txn: str = "test") -> None:
    """Append them as one commit."""
    schema = table(name).schema
    whole = [{column: row.get(column) for column in schema.names} for row in rows]
    lake.append(lake.spark.createDataFrame(pa.Table.from_pylist(whole, schema)).coalesce(1), name, txn=txn)
