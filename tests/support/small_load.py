"""A load in a process of its own, to be killed: `python -m tests.support.small_load ADDRESS DATABASE ENTITY...`."""

import sys

from clients.connection import Connection
from extractors.core import paging
from extractors.core.run import extract
from tests.support.simulated_onec import LOGIN, PASSWORD
from warehouse.sources import SourceConfig

SOURCE = SourceConfig(id="onec_killed", kind="onec", connection="onec")


def main() -> None:
    address, database, *entities = sys.argv[1:]
    paging.FIRST_PAGE = 10
    paging.MAX_PAGE = 20
    for entity in entities:
        extract(SOURCE, entity, Connection(address, LOGIN, PASSWORD), database_url=database)


if __name__ == "__main__":
    main()
