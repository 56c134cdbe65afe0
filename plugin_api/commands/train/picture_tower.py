"""`make tower`: exports the shipped picture tower again from its weights (extra `weights`)."""

import click

from reranker.pictures.encoder import locate_shipped_tower
from reranker.training.encoders.picture_tower import export_picture_tower


def write_tower() -> None:
    """Write the tower and its config into reranker/pictures/weights."""
    folder = locate_shipped_tower()
    click.echo(f"{folder}: {export_picture_tower(folder):,} bytes")


if __name__ == "__main__":
    write_tower()
