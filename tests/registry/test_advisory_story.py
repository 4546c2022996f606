"""The story of ``examples/06_advisories.py`` over S3, and over a registry that is read through a plain web server."""

from __future__ import annotations

import importlib.util
import re
import warnings
from pathlib import Path

import pytest
from servers import static_server

from modhub.registry.writer import Registry
from modhub.storage.urls import open_store
from tests import thinning

EXAMPLE = Path(__file__).parents[2] / "examples" / "06_advisories.py"
#: How a project was mended: the exit codes on the way, and the shares of blocks before and after.
MENDED = re.compile(r"(\w+): exit codes \(0, 7\), 0; (\d+)% -> (\d+)%, others ([+-]\d+\.\d)%")


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("advisories_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(example):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return example.decompositions()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("place", "way"), [pytest.param("s3", "newer", marks=thinning.long), ("http", "instead")], ids=["s3", "http"]
)
def test_the_story_elsewhere(example, made, place, way, tmp_path, capsys, request):
    if place == "s3":
        aws = request.getfixturevalue("aws")
        url = f"s3://{aws.bucket('advisories')}/registry"
        Registry(open_store(url)).initialise()
        example.story(tmp_path, url, url, made, (way,))
    else:
        folder = tmp_path / "www"
        folder.mkdir()
        with static_server(folder) as url:
            example.story(tmp_path, str(folder), url, made, (way,))
    *_, line, clean = capsys.readouterr().out.splitlines()
    found = MENDED.fullmatch(line)
    assert found, line
    assert int(found[2]) < 60
    assert int(found[3]) > 90
    assert float(found[4]) >= 0
    assert clean == f"clean now: {way}"
