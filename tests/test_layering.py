"""Imports go down only: between packages, and between the folders and files of a package.

model → nothing of ours; training → model; index → model; service → model and index, and
training only lazily, inside functions of the command line (`service/cli/`). Inside a package
`ORDER` says what may import what. Also kept: the sizes of functions, argument lists and folders,
and that every public name has a docstring.
"""

from __future__ import annotations

import ast

import pytest

from tests.conftest import ROOT
from tests.figures import undocumented
from tests.source_tree import (
    PACKAGES,
    Import,
    Module,
    cycles,
    folder_sizes,
    import_graph,
    imports,
    lines_of,
    read_modules,
    unit_graph,
)

ALLOWED = {
    "model": {"model"},
    "training": {"training", "model"},
    "index": {"index", "model"},
    "service": {"service", "model", "index"},
}
# The folders and top-level files of each package, from the bottom to the top: each may import
# those before it, lazily and for types too, and none behind it.
ORDER = {
    "model": (
        *("core", "front_end", "config", "text", "cloud", "audio", "file_tags", "drawing"),
        "networks",
        "calibration",
        *(
            "relevance",
            "background",
            "model_files",
            "model_arrays",
            "checkpoint",
            "embedder",
            "encoders",
            "onnx_export",
            "sound_text_model",
            "taught",
            "tagging",
            "zero_shot",
            "timeline",
            "inference",
        ),
    ),
    "index": (
        *("errors", "dates", "lexical", "catalogue", "types", "files", "stores", "search"),
        *("library", "listing", "facets", "statistics", "feedback", "curation", "maintenance"),
        *("ingest", "projection", "cli"),
    ),
    "service": (
        *("observability", "settings", "http", "auth", "middleware", "server", "openapi", "demo"),
        *("workers", "schemas", "library_service", "search", "client"),
        *("services", "routes", "integrations", "app", "cli"),
    ),
    "training": (
        *("errors", "recipe", "metrics", "features", "corpora", "label_noise", "distillation"),
        *("data", "calibration", "figures", "loop", "evaluation", "authors_checkpoint"),
        *("table1", "model_card", "cli"),
    ),
}
MAX_FUNCTION, MAX_ARGUMENTS, MAX_FOLDER = 60, 8, 16
IN_TENSORS = "service.integrations.hear"  # whose interface is of torch's tensors
PUBLIC_FACES = {  # what programs of others import from
    ROOT / "service/client/__init__.py",
    ROOT / "service/integrations/hear/__init__.py",
}
SHORT_NAMES = ("hear",)  # of folders, for programs of others (pyproject.toml): not for ours

MODULES = read_modules(ROOT, *PACKAGES)
TEST_MODULES = read_modules(ROOT, "tests")


def is_command_line(module: Module) -> bool:
    return module.path.parent.name == "cli"


def violation(module: Module, found: Import) -> str:
    """What is wrong with an import, or nothing."""
    package = module.name.split(".")[0]
    if found.relative:
        return f"relative import of {found.module}"
    top = found.module.split(".")[0]
    if top in ALLOWED[package] or top not in (*PACKAGES, *SHORT_NAMES, "tests"):
        return ""
    if package == "service" and top == "training" and found.lazy and is_command_line(module):
        return ""
    return f"imports {found.module}"


def test_imports_follow_the_arrows() -> None:
    problems = [
        f"{module.name} {wrong}"
        for module in MODULES
        for found in module.imports
        if (wrong := violation(module, found))
    ]
    assert problems == []


@pytest.mark.parametrize(
    ("file", "source", "is_wrong"),
    [
        ("model/x.py", "def f():\n    import earmark.training.loop.losses", True),
        ("model/x.py", "from earmark.index import library", True),
        ("model/x.py", "import modelling, numpy", False),
        ("training/x.py", "from earmark.model.config import preset", False),
        ("index/x.py", "import earmark.training", True),
        ("service/x.py", "def f():\n    import earmark.training", True),
        ("service/cli/main.py", "import earmark.training.cli.commands", True),
        ("service/cli/main.py", "def f():\n    import earmark.training.cli.commands", False),
        ("service/x.py", "from . import errors", True),
        ("index/x.py", "if TYPE_CHECKING:\n    import earmark.service", True),
        ("model/x.py", "from tests.model import tiny", True),
        ("service/x.py", "import earmark.hear", True),
    ],
)
def test_the_check_sees_wrong_imports(file: str, source: str, is_wrong: bool) -> None:
    name = file.removesuffix(".py").replace("/", ".")
    module = Module(ROOT / file, name, source)
    assert any(violation(module, found) for found in imports(module.tree)) == is_wrong


def upward(package: str, order: tuple[str, ...], modules: list[Module]) -> list[str]:
    """Imports between the folders and files of a package that go against the order."""
    place = {unit: number for number, unit in enumerate(order)}
    return [
        f"{package}/{unit} imports {package}/{target}"
        for unit, targets in unit_graph(modules).items()
        for target in sorted(targets)
        if place[target] > place[unit]
    ]


def modules_of(package: str) -> list[Module]:
    return [module for module in MODULES if module.name.split(".")[0] == package]


@pytest.mark.parametrize("package", PACKAGES)
def test_folders_import_downwards(package: str) -> None:
    modules = modules_of(package)
    order = ORDER[package]
    found = set(unit_graph(modules))
    assert found - set(order) == set(), "not in ORDER: give it a place there"
    assert set(order) - found == set(), "in ORDER, but not there any more"
    assert len(order) == len(set(order))
    assert upward(package, order, modules) == []


@pytest.mark.parametrize(
    "source",
    [
        "import earmark.model.high",
        "def f():\n    from earmark.model import high",
        "if TYPE_CHECKING:\n    from earmark.model.high import name",
    ],
)
def test_the_check_sees_upward_imports(source: str) -> None:
    low = Module(ROOT / "model/low/x.py", "model.low.x", source)
    high = Module(ROOT / "model/high.py", "model.high", "from earmark.model.low.x import name")
    assert upward("model", ("low", "high"), [low, high]) == ["model/low imports model/high"]
    assert upward("model", ("low", "high"), [high]) == []


def test_libraries_and_services_know_an_encoder_by_its_protocol() -> None:
    """They open one, and never see what it is of; what computes it is not theirs to import."""
    known = {
        (module.name.split(".")[0], found.module)
        for module in MODULES
        for found in module.imports
        if found.module.startswith("model.encoders.")
    }
    assert {of for package, of in known if package in ("index", "service")} == {
        "model.encoders.load",
        "model.encoders.load.is_one_file",
        "model.encoders.load.load_embedder",
    }
    computing = ("torch", "onnxruntime", "transformers")
    assert [
        f"{module.name} imports {found.module}"
        for module in MODULES
        if module.name.split(".")[0] in ("index", "service")
        and not module.name.startswith(IN_TENSORS)
        for found in module.imports
        if found.module.split(".")[0] in computing
    ] == []


def test_other_peoples_ways_in_are_known_to_what_starts_them_alone() -> None:
    assert {
        module.name
        for module in MODULES
        for found in module.imports
        if found.module.startswith("service.integrations")
        and not module.name.startswith("service.integrations")
        and not (module.name == "service.app" or is_command_line(module))
    } == set()


@pytest.mark.parametrize("all_imports", [False, True], ids=["run time", "lazy and typing"])
def test_no_import_cycles(all_imports: bool) -> None:
    graph = import_graph(MODULES, lazy=all_imports, typing=all_imports)
    assert sum(map(len, graph.values())) > 50  # it does see imports
    assert cycles(graph) == []


def test_the_check_sees_cycles() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": set()}
    assert cycles(graph) == [["a", "b", "c"]]


def oversized(module: Module) -> list[str]:
    """Its functions that are too long or take too many arguments."""
    found = []
    for node in module.functions:
        lines = lines_of(node)
        arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        counted = [argument for argument in arguments if argument.arg not in ("self", "cls")]
        counted += [argument for argument in (node.args.vararg, node.args.kwarg) if argument]
        if lines > MAX_FUNCTION or len(counted) > MAX_ARGUMENTS:
            size = f"{lines} lines, {len(counted)} arguments"
            found.append(f"{module.name}: {node.name}: {size}")
    return found


def test_sizes() -> None:
    assert [each for module in (*MODULES, *TEST_MODULES) for each in oversized(module)] == []


@pytest.mark.parametrize(
    ("source", "is_wrong"),
    [
        ("def f(a, b, c, d, e, f, g, *h): pass", False),
        ("def f(a, b, c, d, e, f, g, *h, i): pass", True),
        ("class A:\n    def f(self, a, b, c, d, e, f, g, **h): pass", False),
        ("def f():\n" + "    pass\n" * (MAX_FUNCTION - 1), False),
        ("def f():\n" + "    pass\n" * MAX_FUNCTION, True),
    ],
)
def test_the_check_sees_sizes(source: str, is_wrong: bool) -> None:
    assert bool(oversized(Module(ROOT / "model/x.py", "model.x", source))) == is_wrong


@pytest.mark.parametrize("package", PACKAGES)
def test_folders_are_small(package: str) -> None:
    sizes = folder_sizes(ROOT, package)
    assert {folder: size for folder, size in sizes.items() if size > MAX_FOLDER} == {}


def test_every_module_says_what_it_is() -> None:
    inits = [module for module in TEST_MODULES if module.is_init]
    modules = [*MODULES, *(module for module in TEST_MODULES if not module.is_init)]
    assert [each.name for each in modules if not ast.get_docstring(each.tree)] == []
    # A package's __init__ holds its docstring only.
    inits += [each for each in MODULES if each.is_init and each.path not in PUBLIC_FACES]
    assert [each.name for each in inits if len(each.tree.body) > 1] == []


def test_public_names_have_docstrings() -> None:
    assert [name for module in MODULES for name in undocumented(module)] == []


def test_every_folder_of_tests_is_a_package() -> None:
    folders = {module.path.parent for module in TEST_MODULES}
    assert all((folder / "__init__.py").exists() for folder in folders)
