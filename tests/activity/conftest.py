"""The database beside Redis is the one that it is deployed with."""

from tests.contracts.fixtures import deployed_database as database

__all__ = ["database"]
