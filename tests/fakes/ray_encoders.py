"""An encoder for Ray's actors, which import it from here."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from mappings.types import Product
from reranker.types import EncodedProduct
from tests.fakes.fake_encoder import FakeEncoder

HELD_SECONDS = 300.0


class HeldEncoder(FakeEncoder):
    """Leaves a file `started-PID` in its folder. The first that meets the product titled `hold` writes its
    process id to `held` and stays there, until it is killed.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        super().__init__()
        self._folder = folder
        (folder / f"started-{os.getpid()}").touch()

    def encode_products(self, products: Sequence[Product]) -> list[EncodedProduct]:
        if any(product.title == "hold" for product in products) and self._first():
            time.sleep(HELD_SECONDS)
        return super().encode_products(products)

    def _first(self) -> bool:
        mine = self._folder / f"held-{os.getpid()}"
        mine.write_text(str(os.getpid()))
        try:
            os.link(mine, self._folder / "held")  # whole at once, and once only
        except FileExistsError:
            return False
        return True


class DyingEncoder(HeldEncoder):
    """Dies at a product titled `die`, every time."""

    def encode_products(self, products: Sequence[Product]) -> list[EncodedProduct]:
        if any(product.title == "die" for product in products):
            os._exit(1)
        return super().encode_products(products)


class OtherEncoder(HeldEncoder):
    """Another model than the job's."""

    version = "ba9876543210"
