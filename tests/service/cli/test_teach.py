"""`earmark teach`, in this process, with a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

from tests.service.cli.conftest import Run


def test_a_sound_is_taught_listed_and_handed_over(run: Run, tmp_path: Path) -> None:
    _, out, _ = run("search", "dog", "--json")
    ids = [hit["id"] for hit in json.loads(out)["hits"]]
    status, out, _ = run("teach", "Our dog", "--is", *ids[:2], "--is-not", *ids[2:5])
    first, asked, only = out.splitlines()
    assert (status, first) == (0, "our-dog: 2 are it, 3 are not")
    assert asked == "say of these next whether they are it:"
    assert ids[5] in only
    file = tmp_path / "dog.json"
    assert run("teach", "our-dog", "--export", file)[0] == 0
    assert run("teach", "other dog", "--import", file)[0] == 0
    _, out, _ = run("teach", "--json")
    listed = json.loads(out)["classifiers"]
    assert [(one["id"], one["positives"]) for one in listed] == [("other-dog", 0), ("our-dog", 2)]
    _, out, _ = run("search", "dog", "--classifier", "our-dog", "--json")
    assert {hit["id"] for hit in json.loads(out)["hits"]} <= set(ids)


def test_bad_input_is_one_line(run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("[" * 5_000)
    (tmp_path / "list.json").write_text("[]")
    for arguments, expected in (
        (("--is", "x"), "name: expected one of a sound to teach, got none"),
        (("dog", "--is", "none"), "id: no clip 'none' in this library"),
        (("--import", tmp_path / "none.json"), "No such file or directory"),
        (("--import", broken), "expected JSON that export has written"),
        (("--import", tmp_path / "list.json"), "expected a JSON object that export has written"),
    ):
        status, out, err = run("teach", *arguments)
        assert (status, out) == (2, "")
        assert err.startswith("earmark teach: ")
        assert expected in err.splitlines()[-1]
    assert run("teach", "dog", "--export", tmp_path / "no" / "dog.json")[0] == 1
