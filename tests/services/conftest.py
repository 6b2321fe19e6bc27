from tests.builders.databases import cluster, database_url, place, small_place

__all__ = ["cluster", "database_url", "place", "small_place"]
