"""The image's files, and a machine to run the manifests' commands on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.deploy.cluster import Cluster
from tests.deploy.image import Image, built_image


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    with built_image() as image:
        yield image


@pytest.fixture
async def cluster(image: Image, tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(image, tmp_path)
    try:
        await cluster.start_stores()
        yield cluster
    finally:
        cluster.close()
