"""How the tests run: `async def` tests on virtual time, unless they are marked `real_time`.

A coroutine test gets a fresh loop and a fresh frozen clock (`tests/support/loop.py`), so it needs
no plugin, no fixture and no sleep. What needs sockets, servers or threads is marked `real_time` and
runs on a stock loop and the real clock. Async fixtures do not exist here: use an async context
manager in the test, which also says when it ends.
"""

import inspect
import os
from functools import partial

import hypothesis
import pytest

from tests.support.loop import run_real, run_virtual

hypothesis.settings.register_profile("joblog", deadline=None, print_blob=True)
if "CI" not in os.environ:  # there Hypothesis takes its own profile: the same examples every time
    hypothesis.settings.load_profile("joblog")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test; leave every other to pytest."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    run = run_virtual if pyfuncitem.get_closest_marker("real_time") is None else run_real
    run(partial(pyfuncitem.obj, **arguments))
    return True
