"""Where a command looks: the URL it is given, else what the lock's holder says, else the files.

The lock is held here by the store's own call, in this process: flock knows descriptors only.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eventstore.file.disk import SystemDisk
from service.cli.place import Place, holder
from tests.service.cli.logs import DONE, write_log
from tests.service.cli.runner import files_of, printed, refused

URL = "http://127.0.0.1:1"  # nobody listens there
SERVING = f"process 7 on here serving {URL}"
CHANGES = [
    ("enqueue", "email", "--to", "a@example.com"),
    ("cancel", DONE),
    ("retry", DONE),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_log(tmp_path / "data")
    return tmp_path / "data"


@contextmanager
def held(root: Path, owner: str) -> Iterator[None]:
    lock = SystemDisk().lock(f"{root}/lock", owner)
    try:
        yield
    finally:
        os.close(lock)


def place(root: Path, *, url: str | None = None) -> Place:
    return Place.chosen(data=str(root), store=None, url=url)


def test_the_server_is_found_by_the_lock(root: Path) -> None:
    with held(root, SERVING):
        assert place(root).server() == URL
        assert holder(str(root)) == SERVING


def test_a_lock_that_nobody_holds_says_nothing_whatever_it_holds(root: Path) -> None:
    with held(root, SERVING):
        pass
    assert (root / "lock").read_text() == SERVING
    assert place(root).server() is None


def test_asking_makes_nothing_and_keeps_nobody_out(root: Path, tmp_path: Path) -> None:
    before = files_of(root)
    assert holder(str(root)) is None
    with held(root, SERVING):
        pass
    (root / "lock").write_bytes(before[f"{root}/lock"][0])
    assert files_of(root).keys() == before.keys()
    assert holder(str(tmp_path / "none")) is None
    assert not (tmp_path / "none").exists()


def test_the_url_goes_before_the_lock(root: Path) -> None:
    with held(root, SERVING):
        assert place(root, url="http://elsewhere:80").server() == "http://elsewhere:80"


def test_a_store_is_a_directory_when_it_is_in_files() -> None:
    assert Place.chosen(data="x", store="file:/d/", url=None).root == "/d"
    assert Place.chosen(data="x", store="file:/", url=None).root == "/"
    assert Place.chosen(data="x", store="postgresql://h/d", url=None).root is None


@pytest.mark.parametrize("command", CHANGES, ids=lambda command: command[0])
def test_changes_without_a_server_say_how_to_start_one(
    root: Path, command: tuple[str, ...]
) -> None:
    said = refused(1, *command, "--data", root)
    assert f"no server runs on {root}: start one with `joblog serve --data {root}`" in said


def test_changes_name_a_holder_that_is_no_server(root: Path) -> None:
    with held(root, "process 7"):
        said = refused(1, "cancel", DONE, "--data", root)
        assert f"{root} is in use by process 7, which is no server" in said


def test_changes_to_a_store_elsewhere_need_the_url() -> None:
    assert "give its --url" in refused(1, "cancel", DONE, "--store", "postgresql://h/d")


@pytest.mark.parametrize("command", [("list",), ("show", DONE), ("history", DONE), *CHANGES])
def test_a_server_that_does_not_answer_is_a_no_and_not_the_files(
    root: Path, command: tuple[str, ...]
) -> None:
    with held(root, SERVING):
        said = refused(1, *command, "--data", root)
    assert f"no answer from {URL} (Connection refused)" in said
    assert "whether it was done" not in said


def test_looking_at_a_log_that_something_else_holds_reads_the_files(root: Path) -> None:
    with held(root, "process 7"):
        assert len(printed("list", "--data", root)) == 4


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://x", "http://", "http://h:x", "x"])
def test_what_is_no_address_of_a_server_is_a_usage_error(url: str) -> None:
    assert "is no address of a server" in refused(2, "list", "--url", url)
