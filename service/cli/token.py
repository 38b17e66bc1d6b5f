"""`token`: a new secret for a client, and the line that makes a server know it.

The secret is shown once and kept nowhere; the line has only its hash, and goes into the file of
`joblog serve --tokens-file`. It comes from the operating system's own dice, and from nothing that a
seed could repeat: whoever can guess a secret is whoever it belongs to.

No server is asked, and no file is written.
"""

import secrets

import click

from service.access import Scope, Token, digest_of, is_name, line_of
from service.cli.failure import Misuse
from service.cli.options import command, json_too, option
from service.cli.output import as_table, print_json, print_members

PREFIX = "jl_"  # so that a secret which got somewhere is recognised there
SECRET_BYTES = 32


@command(
    "token",
    "joblog token billing",
    "joblog token runner-1 --scope work | tee /dev/stderr | jq -r .line >>tokens",
)
@click.argument("name")
@option(
    "--scope", "scopes", metavar="SCOPE", multiple=True, type=click.Choice(list(map(str, Scope))),
    default=(Scope.READ.value, Scope.WRITE.value),
    help=f"What it is good for; may be given again: {', '.join(Scope)}.",
)  # fmt: skip
@json_too
def make_token(*, name: str, scopes: tuple[str, ...], as_json: bool) -> None:
    """Make a secret for a client.

    And the line by which a server knows it. NAME is what the log calls the client.
    """
    if not is_name(name):
        raise Misuse(f"{name} is no name: letters, digits, and . _ - within, at most 64 of them")
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    line = line_of(Token(name, digest_of(secret), frozenset(map(Scope, scopes))))
    if as_table(as_json=as_json):
        print_members([("secret", secret), ("line", line)])
        hint = "the secret is shown only now; the line goes into the server's --tokens-file"
        click.echo(hint, err=True)
    else:
        print_json({"secret": secret, "line": line})
