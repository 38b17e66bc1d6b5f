"""A Postfix as Debian ships it, in the foreground, with a configuration of its own in a temporary
directory: one port on the loopback, a domain of virtual mailboxes, mail into Maildirs.

It needs root, because Postfix gives its parts to users of their own. What it says is its log, which
tests wait for instead of sleeping. Nothing of the system's own Postfix is touched, and nothing is
ever sent on: other domains are refused.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path

DOMAIN = "mail.example"
ADA = f"ada@{DOMAIN}"
BUSY = f"busy@{DOMAIN}"  # deferred by an access map
NOBODY = f"nobody@{DOMAIN}"  # in no map at all

PATIENCE_S = 60

_MAIN = """
compatibility_level = 3.6
maillog_file = /dev/stdout
queue_directory = {root}/queue
data_directory = {root}/data
mail_owner = postfix
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.{domain}
mydestination =
local_transport = error:there are no local users
alias_maps =
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access texthash:{root}/access
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {root}/mail
virtual_mailbox_maps = texthash:{root}/mailboxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
"""

_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """One that runs. `log` is what it has said so far."""

    def __init__(self, root: Path, port: int, process: subprocess.Popen[str]) -> None:
        self.port = port
        self.log: list[str] = []
        self._root = root
        self._process = process

    def until(self, *words: str) -> None:
        """Until it has said all these in one line."""
        assert self._process.stdout is not None
        if any(all(word in line for word in words) for line in self.log):
            return
        for line in self._process.stdout:
            self.log.append(line.rstrip("\n"))
            if all(word in line for word in words):
                return
        raise AssertionError(f"it never said {words}: " + "\n".join(self.log))

    def raw_mail_of(self, user: str) -> list[bytes]:
        """What is in his Maildir, as it is there."""
        return [file.read_bytes() for file in (self._root / "mail" / user / "new").glob("*")]

    def mail_of(self, user: str) -> list[EmailMessage]:
        """The same, read."""
        read = BytesParser(policy=default).parsebytes
        return [read(raw) for raw in self.raw_mail_of(user)]


@contextmanager
def postfix() -> Iterator[Postfix]:
    """One for the length of a `with`."""
    root = Path(tempfile.mkdtemp(prefix="joblog-postfix-"))
    try:
        port = _configured(root)
        process = subprocess.Popen(
            ["postfix", "-c", str(root), "start-fg"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        limit = threading.Timer(PATIENCE_S, os.killpg, (process.pid, signal.SIGKILL))
        limit.start()
        try:
            running = Postfix(root, port, process)
            running.until("daemon started")
            yield running
        finally:
            limit.cancel()
            subprocess.run(["postfix", "-c", str(root), "abort"], check=True, capture_output=True)
            process.communicate()
    finally:
        shutil.rmtree(root)


def _configured(root: Path) -> int:
    """Write the configuration; the port in it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    owner, reader = pwd.getpwnam("postfix"), pwd.getpwnam("nobody")
    root.chmod(0o755)
    values = {
        "root": root, "domain": DOMAIN, "port": port, "uid": reader.pw_uid, "gid": reader.pw_gid,
    }  # fmt: skip
    (root / "main.cf").write_text(_MAIN.format(**values))
    (root / "master.cf").write_text(_MASTER.format(**values))
    (root / "access").write_text(f"{BUSY} 450 4.2.1 the mailbox is busy\n")
    (root / "mailboxes").write_text(f"{ADA} ada/\n{BUSY} busy/\n")
    (root / "queue").mkdir()
    for name, user in (("data", owner), ("mail", reader)):
        (root / name).mkdir()
        os.chown(root / name, user.pw_uid, user.pw_gid)
    return port
