"""What is watched: each query of dashboard, alerts and handbook asks for what a server tells."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client.parser import text_string_to_metric_families

from earmark.index.ingest import bulk
from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from tests.index import made
from tests.index.made import ROOT
from tests.service import sounds
from tests.service.server_process import serving

FOLDER = ROOT / "docker"
DASHBOARD = FOLDER / "grafana/dashboards/earmark.json"
ALERTS = FOLDER / "prometheus/alerts.yml"
CONFIG = FOLDER / "prometheus/prometheus.yml"
GUIDE = ROOT / "docs/monitoring.md"
SETTINGS = ROOT / "docs/operating.md"
OWN = {"up", "ALERTS", "haproxy_backend_active_servers"}  # not of our service
ATTACHED = {"job", "instance", "service"}  # by Prometheus to each series
RESULTS = {"alertname", "alertstate", "severity"}
FAMILY = re.compile(r"\b((?:earmark|process|python)_[a-z0-9_]*[a-z0-9])")
SELECTED = re.compile(r"\b([A-Za-z_][\w:]*)\{([^}]*)\}")
MATCHED = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
GROUPED = re.compile(r"\b(?:by|on|group_left|group_right|without|ignoring)\s*\(([^)]*)\)")
LEGEND = re.compile(r"\{\{\s*\$?(?:labels\.)?(\w+)\s*\}\}")
WINDOW = re.compile(r"\[[^]]*\]")

Series = dict[str, dict[str, set[str]]]


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Series:
    """Every series that a server exports after a little of each work: name → label → values."""
    folder = tmp_path_factory.mktemp("watched")
    model = made.save_model(folder / "model")
    files = made.write_sounds(folder / "sounds", 3)
    with Library.open(folder / "library", load_embedder(model), create=True) as library:
        assert len(bulk.add(library, files).added) == 3
    arguments = ("--library", folder / "library", "--model", model)
    with serving(folder / "log", *arguments) as server:
        assert server.upload(sounds.noise(3.0, seed=1)).status_code == 200
        for path in ("/v1/classify", "/v1/search/audio"):
            assert server.upload(sounds.noise(1.0, seed=2), path, labels="dog,rain").is_success
        assert server.client.get("/v1/search?q=rain").status_code == 200
        text = server.client.get("/metrics").text
    found: Series = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def panels() -> list[dict[str, Any]]:
    return json.loads(DASHBOARD.read_text())["panels"]


def dashboard_queries() -> Iterator[tuple[str, str]]:
    """Each query of the dashboard, with its legend."""
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in panels():
        for target in panel.get("targets", ()):
            yield target["expr"], target["legendFormat"]
    for annotation in dashboard["annotations"]["list"]:
        yield annotation["expr"], annotation["textFormat"]


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def guide_queries() -> Iterator[str]:
    for block in re.findall(r"```promql\n(.*?)```", GUIDE.read_text(), re.DOTALL):
        yield from (line for line in block.splitlines() if line and not line.startswith("#"))


def check(query: str, series: Series) -> set[str]:
    """Check a query against the series; returns the labels that its result may have."""
    bare = re.sub(r'"[^"]*"', '""', query)
    names = set(FAMILY.findall(bare))
    names |= {name for name, _ in SELECTED.findall(query)} - OWN
    assert names <= series.keys(), query
    labels = ATTACHED | RESULTS | {label for name in names for label in series[name]}
    for name, inside in SELECTED.findall(query):
        for label, how, value in MATCHED.findall(inside):
            if name in OWN or label in ATTACHED:
                continue
            assert label in series[name], f"{label} in {query}"
            if how == "=" and label not in {"status"}:
                assert value in series[name][label], query
            if how == "=~" and label in {"route", "reason"}:
                assert set(value.split("|")) <= series[name][label], query
    for group in GROUPED.findall(query):
        wanted = {each.strip() for each in group.split(",")} - {""}
        assert wanted <= labels, query
    grouped = [set(re.split(r"[,\s]+", group)) for group in GROUPED.findall(query)]
    return set().union(*grouped) if grouped else labels


def test_the_dashboard_asks_for_what_the_service_tells(series: Series) -> None:
    queries = list(dashboard_queries())
    assert len(queries) > 30
    for query, legend in queries:
        assert set(LEGEND.findall(legend)) <= check(query, series), legend
    for variable in json.loads(DASHBOARD.read_text())["templating"]["list"][1:]:
        query = variable["query"]["query"]
        assert set(FAMILY.findall(query)) <= series.keys()


def test_alerts_ask_for_what_the_service_tells(series: Series) -> None:
    assert len(rules()) > 15
    for rule in rules():
        check(rule["expr"], series)


def test_the_guide_names_what_the_service_tells(series: Series) -> None:
    queries = list(guide_queries())
    assert len(queries) >= 5
    for query in queries:
        check(query, series)
    families = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in series} | series.keys()
    table = [line for line in GUIDE.read_text().splitlines() if line.startswith("| `earmark_")]
    named = set(FAMILY.findall("\n".join(table)))
    assert named <= families
    ours = {name for name in families if name.startswith("earmark_")}
    shown = {re.sub(r"_(total|bucket|sum|count|created)$", "", name) for name in ours}
    assert {re.sub(r"_total$", "", name) for name in named} == shown


def test_the_dashboard_shows_all_that_the_service_tells(series: Series) -> None:
    """But for times of making and what histograms consist of."""
    text = " ".join(query for query, _ in dashboard_queries())
    for name in series:
        if name.startswith("earmark_") and not name.endswith("_created"):
            family = re.sub(r"_(bucket|sum|count)$", "", name)
            assert family in text, name


def lost(given: object, kept: object, where: str = "") -> Iterator[str]:
    """What of a document is not in another, or is something else there."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            yield from lost(value, kept.get(key), f"{where}/{key}")
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for one, other in zip(given, kept, strict=True):
            yield from lost(one, other, where)
    elif given != kept:
        yield where


def test_the_dashboard_is_one_by_grafanas_schema() -> None:
    """Read into Grafana's own types and written again, all of it is there, but for what the types
    do not know: how Prometheus' annotations are worded."""
    register_default_plugins()
    given = json.loads(DASHBOARD.read_text())
    kept = json.loads(JSONEncoder().encode(Dashboard.from_json(given)))
    unknown = {"/annotations/list/textFormat", "/annotations/list/titleFormat"}
    assert set(lost(given, kept)) == unknown
    broken = json.loads(DASHBOARD.read_text())
    broken["panels"][1]["fieldConfig"]["defaults"]["unitt"] = "s"
    kept = json.loads(JSONEncoder().encode(Dashboard.from_json(broken)))
    assert set(lost(broken, kept)) == unknown | {"/panels/fieldConfig/defaults/unitt"}


def test_the_dashboard_reads_well() -> None:
    everything = panels()
    assert len({panel["id"] for panel in everything}) == len(everything)
    taken: set[tuple[int, int]] = set()
    for panel in everything:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] == "row":
            continue
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["description"].endswith(".")
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        if panel["type"] != "table":
            assert panel["fieldConfig"]["defaults"]["unit"]
        if panel["type"] == "timeseries":
            assert all(target["legendFormat"] for target in panel["targets"])


def test_grafana_is_told_where_prometheus_and_the_dashboard_are() -> None:
    compose = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    folder = FOLDER / "grafana/provisioning"
    [source] = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    chosen = json.loads(DASHBOARD.read_text())["templating"]["list"][0]
    assert chosen["current"]["value"] == source["uid"]
    [provider] = yaml.safe_load((folder / "dashboards/earmark.yml").read_text())["providers"]
    path = provider["options"]["path"]
    assert f"./grafana/dashboards:{path}:ro" in compose["grafana"]["volumes"]
    home = compose["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{path}/{DASHBOARD.name}"


def test_prometheus_looks_for_every_process_and_the_store() -> None:
    services = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    config = yaml.safe_load(CONFIG.read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    [found] = jobs["earmark"]["dns_sd_configs"]
    assert set(found["names"]) == {"service", "service-gpu", "replica"}
    assert found["port"] == 8000
    for job, port in (("proxy", 8405), ("milvus", 9091)):
        [found] = jobs[job]["dns_sd_configs"]
        assert (found["names"], found["port"]) == ([job], port)
    watching = set(services["prometheus"]["networks"])
    for name in ("service", "service-gpu", "replica", "proxy", "milvus"):
        assert watching & set(services[name]["networks"])
    key = Path(jobs["earmark"]["authorization"]["credentials_file"])
    assert key.name in services["prometheus"]["secrets"]


def test_every_alert_says_what_to_do_and_is_tested() -> None:
    tested = (FOLDER / "prometheus/alerts_test.yml").read_text()
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names) >= 15
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"].keys() == {"summary", "description"}
        assert all(len(text) > 25 for text in rule["annotations"].values())
        assert f'alertname="{rule["alert"]}"' in tested
        settings = set(re.findall(r"EARMARK_[A-Z_]+", rule["annotations"]["description"]))
        known = SETTINGS.read_text() + (FOLDER / "compose.yaml").read_text()
        assert all(name in known for name in settings)


@pytest.mark.parametrize(
    "command",
    [
        ("check", "config", "--syntax-only", CONFIG),
        ("check", "rules", "--lint-fatal", ALERTS),
        ("test", "rules", ALERTS.with_name("alerts_test.yml")),
    ],
    ids=["config", "rules", "alerts"],
)
def test_promtool_agrees(command: tuple[object, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run(
        [promtool, *map(str, command)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_reads_every_query_of_the_dashboard(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    queries = [
        WINDOW.sub(lambda found: "[1m]" if "$" in found[0] else found[0], query)
        for query, _ in dashboard_queries()
    ]
    recorded = [{"record": f"panel:{n}", "expr": query} for n, query in enumerate(queries)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    done = subprocess.run(
        [promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
