"""`earmark collection`: making, listing and handing over, in this process, with a tiny model."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from tests.service.cli.conftest import Run


def test_a_collection_from_making_to_handing_over(run: Run, tmp_path: Path) -> None:
    _, out, _ = run("search", "dog", "--json")
    ids = [hit["id"] for hit in json.loads(out)["hits"]]
    assert len(ids) == 6
    assert run("collection", "create", "All of them", *ids)[:2] == (
        0,
        "made all-of-them: 6 clips\n",
    )
    assert run("collection", "list")[1] == (
        "favourites         0  Favourites\nall-of-them        6  All of them\n"
    )
    _, out, _ = run("collection", "list", "--json")
    assert json.loads(out)["collections"][1] == {
        "id": "all-of-them", "name": "All of them", "clips": 6, "follows": False,
    }  # fmt: skip
    status, out, err = run("collection", "export", "all-of-them", tmp_path / "all.zip")
    assert (status, out) == (1, f"wrote 5 clips to {tmp_path / 'all.zip'}\n")
    assert err.splitlines()[-1] == "missing files: 1; MISSING.txt names them"
    with zipfile.ZipFile(tmp_path / "all.zip") as packed:
        assert packed.testzip() is None
        assert "sounds/Rain on a metal roof.wav" in packed.namelist()
    for kind in ("csv", "parquet"):
        assert run("collection", "export", "all-of-them", tmp_path / f"all.{kind}")[0] == 0
    _, out, _ = run("search", "dog", "--collection", "favourites", "--json")
    assert json.loads(out)["hits"] == []


def test_bad_input_is_one_line(run: Run, tmp_path: Path) -> None:
    for arguments, message in (
        (("export", "none", tmp_path / "a.zip"), "none has the id 'none'"),
        (("export", "favourites", tmp_path / "a.rar"), "expected a name that ends in .zip"),
        (("create", "Favourites"), "expected one that no collection has"),
        (("create", "a", "none"), "no clip 'none'"),
    ):
        status, out, err = run("collection", *arguments)
        assert (status, out) == (2, "")
        assert message in err.splitlines()[-1]
    status, _, err = run("collection", "export", "favourites", tmp_path / "no" / "a.csv")
    assert (status, "No such file" in err) == (1, True)
    assert not list(tmp_path.glob("*.zip"))
