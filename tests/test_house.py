"""The rules of the house that a machine can check, and for each a test that it bites.

Who may import whom, who reads clocks and throws dice, what a module must say of itself, how long
things may be. An AST walk over the whole tree takes a fraction of a second. Style and lint are
ruff's; what is here is this project's own.
"""

import ast
import re
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
    "service/backoff.py",
    "service/commands.py",
    "service/ids.py",
}
IMPURE = {"asyncio", "os", "pathlib", "socket", "sqlite3", "threading", "time"}
CLOCKS = re.compile(
    r"time\.(time|time_ns|monotonic|monotonic_ns|perf_counter|perf_counter_ns|sleep)"
    r"|(datetime|date)\.(now|utcnow|today)"
)
DICE = re.compile(r"random\.\w+|secrets\.\w+|uuid\.uuid\w+|uuid[1-8]|os\.urandom|SystemRandom")
DRIVERS = {"asyncpg", "nats", "redis"}
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
        if top in DRIVERS and path != "eventstore/open.py" and not path.startswith("eventstore/"):
            yield f"{path} imports the driver {name}"


def only_the_clock_reads_clocks(path: str, tree: ast.Module, _: str) -> Iterator[str]:
    """`eventstore/clock.py` is the only one; a command that waits for a file may sleep."""
    if path != "eventstore/clock.py":
        yield from (f"{path}:{line} calls {name}" for name, line in calls(tree, CLOCKS))


def only_the_wiring_throws_dice(path: str, tree: ast.Module, _: str) -> Iterator[str]:
    """Everyone else is handed a `Random`."""
    if path != "service/wiring.py":
        yield from (f"{path}:{line} calls {name}" for name, line in calls(tree, DICE))


def only_the_disk_reaches_the_disk(path: str, tree: ast.Module, _: str) -> Iterator[str]:
    """Below `eventstore/file` the operating system is behind `disk.py`."""
    if path.startswith("eventstore/file/") and path != "eventstore/file/disk.py":
        yield from (f"{path}:{line} calls {name}" for name, line in calls(tree, DISK_CALLS))


def pure_rooms_neither_wait_nor_reach_outside(path: str, tree: ast.Module, _: str) -> Iterator[str]:
    """No `async`, no I/O, no clock."""
    if path in PURE:
        yield from (f"{path} imports {name}" for name in imported(tree) if name in IMPURE)
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


def no_test_sleeps(path: str, tree: ast.Module, source: str) -> Iterator[str]:
    """Time is virtual, or the log is waited for. `sleep(0)` only lets others run."""
    if path.startswith("tests/"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep":
                yield f"{path}:{node.lineno} sleeps"
    assert source is not None


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls(tree: ast.Module, pattern: re.Pattern[str]) -> Iterator[tuple[str, int]]:
    """Calls of functions whose name fits, and any mention of one with a dot: it may be called
    later.
    """
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        dotted = isinstance(node, ast.Attribute)
        if (dotted or (isinstance(node, ast.Name) and id(node) in called)) and pattern.fullmatch(
            name := ast.unparse(node)
        ):
            yield name, node.lineno


def routed(tree: ast.Module) -> set[str]:
    """Names handed to `Route(path, name)` or `add_route`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("Route", "add_route")):
            found |= {ast.unparse(argument).split(".")[-1] for argument in node.args[1:2]}
    return found


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

BITES = {
    imports_point_one_way: ("eventstore/log.py", "from projections.job import Job"),
    only_the_clock_reads_clocks: ("service/jobs.py", "import time\nx = time.monotonic"),
    only_the_wiring_throws_dice: ("service/jobs.py", "import uuid\nx = uuid.uuid4()"),
    only_the_disk_reaches_the_disk: ("eventstore/file/index.py", "import os\nos.unlink('x')"),
    pure_rooms_neither_wait_nor_reach_outside: ("projections/job.py", "async def f(): pass"),
    every_module_explains_itself: ("service/jobs.py", '"""Jobs."""'),
    nothing_is_too_long: ("service/jobs.py", "x = 1\n" * (MODULE_LINES_MAX + 1)),
    endpoints_are_async: ("service/web/jobs.py", "def get(r): ...\nRoute('/', get)"),
    no_test_sleeps: ("tests/test_x.py", "import time\ntime.sleep(1)"),
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
    path, source = BITES[rule]
    assert list(rule(path, ast.parse(source), source)) != []


def test_every_rule_has_a_test_that_it_bites() -> None:
    assert {*RULES, *EVERYWHERE} == set(BITES)


def test_no_module_is_dead() -> None:
    entries = {"service.__main__", "service.cli"}
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
