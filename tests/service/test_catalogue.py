"""The kinds that a process knows: built-in, a user's own, remote; and what cannot be set up so.

What each built-in kind does is tested with it. Here a catalogue is only opened, looked at, closed.
"""

import sys
from pathlib import Path

import pytest

from service.catalogue import BUILT_IN, catalogue
from service.settings import CannotServeError, EmailSettings, Settings, WebhookSettings

OWN = """
from service import processor

@processor("report")
async def report(payload: dict, attempt) -> None: ...

the_same = report
"""


async def kinds(**settings) -> dict[str, bool]:
    """Every kind, and whether it runs here."""
    async with catalogue(Settings(**settings)) as registry:
        return {kind: kind in registry.runnable() for kind in registry.kinds()}


async def test_the_built_in_kinds_are_always_there():
    assert await kinds() == dict.fromkeys(BUILT_IN, True)


async def test_the_base_of_their_backoff_is_a_setting():
    async with catalogue(Settings(backoff_base_s=2)) as registry:
        for processor in registry:
            assert processor.backoff["base_s"] == 2


async def test_a_module_adds_its_processors_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "own_kinds.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    assert await kinds(processors="own_kinds") == {"email": True, "webhook": True, "report": True}
    monkeypatch.delitem(sys.modules, "own_kinds")


async def test_remote_kinds_are_taken_and_do_not_run_here():
    found = await kinds(remote_kinds=("thumbnail", "video"))
    assert found == {"email": True, "webhook": True, "thumbnail": False, "video": False}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"processors": "no_such_module"}, "--processors no_such_module: ModuleNotFoundError"),
        ({"remote_kinds": ("Thumb Nail",)}, "--remote-kind Thumb Nail: .* is not a kind"),
        ({"remote_kinds": ("email",)}, "two processors for kind 'email'"),
        ({"email": EmailSettings(sender="nobody")}, "e-mail: "),
        ({"webhook": WebhookSettings(allow=("10.0.0.0/99",))}, "webhooks: "),
    ],
    ids=["module", "name", "twice", "email", "webhook"],
)
async def test_what_cannot_work_is_refused_before_anything_is_taken(settings, says):
    with pytest.raises(CannotServeError, match=says):
        await kinds(**settings)
