"""The rules of the house that a machine can check, and for each a test that it bites.

Who may import whom, who reads clocks and throws dice, what a module must say of itself, how long
things may be. An AST walk over the whole tree takes a fraction of a second. Style and lint are
ruff's; what is here is this project's own.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("eventstore", "projections", "service")
TOP_LEVEL = {"pyproject.toml", "README.md", "LICENSE", *PACKAGES, "tests"}
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
LINE_CHARACTERS_MAX = 100

MAY_IMPORT = {
    "eventstore": {"eventstore"},
    "projections": {"eventstore", "projections"},
    "service": {"eventstore", "projections", "service"},
}
PURE = {
    "eventstore/event.py",
    "eventstore/timestamp.py",
    "eventstore/file/segment.py",
    "projections/board.py",
    "projections/events.py",
    "projections/job.py",
    "projections/ordered.py",
    "service/access.py",
    "service/backoff.py",
    "service/commands.py",
    "service/ids.py",
}
IMPURE = {"asyncio", "os", "pathlib", "socket", "sqlite3", "threading", "time"}
CLOCKS = re.compile(
    r"time\.(time|time_ns|monotonic|monotonic_ns|perf_counter|perf_counter_ns|sleep)"
    r"|(datetime|date)\.(now|utcnow|today)"
)
DICE = re.compile(
    r"random\.(?!Random$)\w+|secrets\.\w+|uuid\.uuid\w+|uuid[1-8]|os\.urandom|SystemRandom"
)
SECRETS = ("service/cli/token.py", "secrets.token_urlsafe")
DRIVERS = {"asyncpg", "nats", "redis"}
ENGINES = ("eventstore/postgres/", "eventstore/nats.py", "eventstore/redis/")
WATCHED = {"datetime", "os", "random", "secrets", "shutil", "time", "uuid"}
DISK_CALLS = re.compile(r"os\.(?!getpid)\w+|Path\b.*|open|shutil\.\w+")

Rule = Callable[[str, ast.Module, str], Iterator[str]]


def imports_point_one_way(path: str, tree: ast.Module, _: str) -> Iterator[str]:
    """Eventstore <- projections <- service; web and worker meet only in what both import."""
    package = path.split("/", maxsplit=1)[0]
    for name in imported(tree):
        top = name.split(".")[0]
        if top in PACKAGES and top not in MAY_IMPORT[package]:
            yield f"{path} imports {name}"
        if path.startswith("service/web/") and name.startswith(("service.worker", "service.att")):
            yield f"{path} imports {name}: the web and the worker do not know each other"
        if path == "service/worker.py" and name.startswith("service.web"):
            yield f"{path} imports {name}: the web and the worker do not know each other"
        if top in DRIVERS and not path.startswith(ENGINES):
            yield f"{path} imports the client library {name}"


def only_the_clock_reads_clocks(path: str, tree: ast.Module, _: str) -> Iterator[str]:
    """`eventstore/clock.py` is the only one; nobody sleeps on a thread."""
    if path != "eventstore/clock.py":
        yield from (f"{path}:{line} uses {name}" for name, line in uses(tree, CLOCKS))


def only_the_wiring_throws_dice(path: str, tree: ast.Module, _: str) -> Iterator[str]:
    """Everyone else is handed a `Random`. But for a secret, which no seed may be able to repeat."""
    if path != "service/wiring.py":
        for name, line in uses(tree, DICE):
            if (path, name) != SECRETS:
                yield f"{path}:{line} uses {name}"


def only_the_disk_reaches_the_disk(path: str, tree: ast.Module, _: str) -> Iterator[str]:
    """Below `eventstore/file` the operating system is behind `disk.py`."""
    if path.startswith("eventstore/file/") and path != "eventstore/file/disk.py":
        yield from (f"{path}:{line} uses {name}" for name, line in uses(tree, DISK_CALLS))


def pure_rooms_neither_wait_nor_reach_outside(path: str, tree: ast.Module, _: str) -> Iterator[str]:
    """No `async`, no I/O, no clock."""
    if path in PURE:
        names = [name for name in imported(tree) if name.split(".")[0] in IMPURE]
        yield from (f"{path} imports {name}" for name in names)
        for name in imported(tree):
            if name == "eventstore.clock" or name.startswith("eventstore.clock."):
                yield f"{path} imports the clock"
        for node in ast.walk(tree):
            if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
                yield f"{path}:{node.lineno} is async"


def every_module_explains_itself(path: str, tree: ast.Module, _: str) -> Iterator[str]:
    """A docstring of two sentences at least; of a test module too."""
    text = ast.get_docstring(tree) or ""
    if len(re.findall(r"[.:;?](\s|$)", text)) < 2:
        yield f"{path} does not say what it is and why, in two sentences"


def nothing_is_too_long(path: str, tree: ast.Module, source: str) -> Iterator[str]:
    """Modules, functions, lines."""
    lines = source.splitlines()
    if len(lines) > MODULE_LINES_MAX:
        yield f"{path} has {len(lines)} lines"
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_CHARACTERS_MAX:
            yield f"{path}:{number} has {len(line)} characters"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield f"{path}:{node.lineno} {node.name} has {length} lines"


def endpoints_are_async(path: str, tree: ast.Module, _: str) -> Iterator[str]:
    """A plain function that takes a request would run in a thread, where frozen time is not."""
    if path.startswith("service/web/"):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name in routed(tree):
                yield f"{path}:{node.lineno} {node.name} is an endpoint and not async"


def no_test_sleeps(path: str, tree: ast.Module, _: str) -> Iterator[str]:
    """Time is virtual, where `asyncio.sleep` moves the clock, or the log is waited for."""
    if path.startswith("tests/"):
        sleeps = re.compile(r"time\.sleep")
        yield from (f"{path}:{line} sleeps" for _, line in uses(tree, sleeps))
        for test in ast.walk(tree):
            if isinstance(test, ast.AsyncFunctionDef) and on_the_real_clock(test):
                for node in ast.walk(test):
                    if isinstance(node, ast.Call) and re.fullmatch(
                        r"asyncio\.sleep\((?!0\)).*", ast.unparse(node)
                    ):
                        yield f"{path}:{node.lineno} sleeps on the real clock"


def on_the_real_clock(test: ast.AsyncFunctionDef) -> bool:
    return any("real_time" in ast.unparse(decorator) for decorator in test.decorator_list)


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def uses(tree: ast.Module, pattern: re.Pattern[str]) -> Iterator[tuple[str, int]]:
    """Functions whose dotted name fits: called, mentioned (they may be called later), imported by
    name; and the modules they come from under another name, which would hide them.
    """
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) or (isinstance(node, ast.Name) and id(node) in called):
            if pattern.fullmatch(name := ast.unparse(node)):
                yield name, node.lineno
        elif isinstance(node, ast.Import):
            hidden = [alias for alias in node.names if alias.asname and alias.name in WATCHED]
            yield from ((f"{alias.name} as {alias.asname}", node.lineno) for alias in hidden)
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from ((name, node.lineno) for name in names if pattern.fullmatch(name))


def routed(tree: ast.Module) -> set[str]:
    """Names handed to `Operation(endpoint=name)`."""
    return {
        ast.unparse(keyword.value).split(".")[-1]
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "endpoint"
    }


RULES: list[Rule] = [
    imports_point_one_way,
    only_the_clock_reads_clocks,
    only_the_wiring_throws_dice,
    only_the_disk_reaches_the_disk,
    pure_rooms_neither_wait_nor_reach_outside,
    every_module_explains_itself,
    nothing_is_too_long,
    endpoints_are_async,
]
EVERYWHERE: list[Rule] = [every_module_explains_itself, nothing_is_too_long, no_test_sleeps]

BITES: dict[Rule, tuple[str, list[str]]] = {
    imports_point_one_way: (
        "eventstore/log.py",
        ["from projections.job import Job", "import service.jobs", "import asyncpg"],
    ),
    only_the_clock_reads_clocks: (
        "service/jobs.py",
        [
            "import time\nx = time.monotonic",
            "from time import monotonic",
            "import time as t",
            "from time import sleep",
            "from datetime import datetime\ndatetime.now()",
        ],
    ),
    only_the_wiring_throws_dice: (
        "service/jobs.py",
        [
            "import uuid\nx = uuid.uuid4()",
            "from random import random",
            "from os import urandom",
            "from secrets import token_hex",
            "import random as r",
        ],
    ),
    only_the_disk_reaches_the_disk: (
        "eventstore/file/index.py",
        ["import os\nos.unlink('x')", "from os import unlink", "open('x')"],
    ),
    pure_rooms_neither_wait_nor_reach_outside: (
        "projections/job.py",
        ["async def f(): pass", "import os.path", "from eventstore import clock"],
    ),
    every_module_explains_itself: ("service/jobs.py", ['"""Jobs."""', ""]),
    nothing_is_too_long: ("service/jobs.py", ["x = 1\n" * (MODULE_LINES_MAX + 1), "#" * 101]),
    endpoints_are_async: ("service/web/jobs.py", ["def get(r): ...\nOperation(endpoint=get)"]),
    no_test_sleeps: (
        "tests/test_x.py",
        [
            "import time\ntime.sleep(1)",
            "from time import sleep",
            "@pytest.mark.real_time\nasync def test_x():\n    await asyncio.sleep(1)",
        ],
    ),
}


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def parsed(path: Path) -> tuple[ast.Module, str]:
    source = path.read_text()
    return ast.parse(source), source


def broken(rule: Rule, path: Path) -> list[str]:
    return list(rule(str(path.relative_to(ROOT)), *parsed(path)))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_its_rule(rule: Rule) -> None:
    assert [found for path in sources(*PACKAGES) for found in broken(rule, path)] == []


@pytest.mark.parametrize("rule", EVERYWHERE, ids=lambda rule: rule.__name__)
def test_the_tests_keep_the_rule(rule: Rule) -> None:
    assert [found for path in sources("tests") for found in broken(rule, path)] == []


@pytest.mark.parametrize("rule", BITES, ids=lambda rule: rule.__name__)
def test_the_rule_bites(rule: Rule) -> None:
    path, planted = BITES[rule]
    for source in planted:
        assert list(rule(path, ast.parse(source), source)) != [], source


def test_secrets_are_thrown_where_they_are_made_and_nothing_else_is_there() -> None:
    path, name = SECRETS
    for source, found in ((f"x = {name}()", 0), ("x = secrets.randbits(3)", 1)):
        assert len(list(only_the_wiring_throws_dice(path, ast.parse(source), source))) == found


def test_every_rule_has_a_test_that_it_bites() -> None:
    assert {*RULES, *EVERYWHERE} == set(BITES)


def test_no_module_is_dead() -> None:
    entries = {"service.__main__", "service.cli", "service.testing"}
    used = {name for path in sources(*PACKAGES) for name in imported(parsed(path)[0])}
    lazily = (ROOT / "service/cli/__init__.py").read_text()
    for path in sources(*PACKAGES):
        name = str(path.relative_to(ROOT).with_suffix("")).replace("/", ".")
        name = name.removesuffix(".__init__")
        assert name in used | entries or f'"{name}"' in lazily or name in PACKAGES, name


def test_the_top_level_holds_what_the_plan_says_and_nothing_else() -> None:
    ignored = {"__pycache__", "build", "dist", "joblog-data"}
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    extra = {name for name in found - TOP_LEVEL - ignored if not name.endswith(".egg-info")}
    assert extra == set()


def test_a_markdown_file_has_one_title() -> None:
    for path in [*ROOT.glob("*.md"), *(ROOT / ".github").glob("*.md")]:
        text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
        assert len(re.findall(r"^# ", text, flags=re.MULTILINE)) == 1, path


def test_what_is_imported_is_declared() -> None:
    """Or a fresh install would not start, while the tests' own environment has it all."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed, testing = project["dependencies"], project["optional-dependencies"]["testing"]
    kit = {path for path in sources(*PACKAGES) if "testing" in path.parts}
    assert undeclared({*sources(*PACKAGES)} - kit, needed) == set()
    assert undeclared(kit, [*needed, *testing]) == set()
    assert undeclared(kit, needed) == {"freezegun"}


def undeclared(paths: set[Path], declared: list[str]) -> set[str]:
    """Distributions that modules import, and that no requirement names."""
    names = {re.split(r"[^A-Za-z0-9_.-]", each)[0].lower().replace("-", "_") for each in declared}
    found = {name.split(".")[0].lower() for path in paths for name in imported(parsed(path)[0])}
    return found - names - {*PACKAGES, *sys.stdlib_module_names}
