"""Catalogue files: CSV, JSON, XML, spreadsheets and Parquet, packed or not, as streams of records."""

from indexer.sources.files.catalogue_file import CatalogueFile, open_catalogue
from indexer.sources.files.formats import describe_format
from indexer.sources.files.options import ReadOptions, parse_read_options

__all__ = ["CatalogueFile", "ReadOptions", "describe_format", "open_catalogue", "parse_read_options"]
