"""The pages: nothing from elsewhere, no link into nothing, and commands that work as they stand.

How they look is looked at; what can be checked is here.
"""

import base64
import hashlib
import re
import shlex
from html.parser import HTMLParser

import httpx2
import pytest

from service.backoff import DEFAULT
from service.processors import Attempt, processor, remote_kind
from service.processors.webhook import Courier, webhook_processor
from service.settings import WebhookSettings
from service.web.pages import problem_page
from service.web.problems import KINDS, Kind
from tests.support.service import RunningService, running_service

VOID = {"br", "hr", "img", "input", "link", "meta"}


class Page(HTMLParser):
    """What a page consists of; complains of a tag that is closed by another."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.code: list[str] = []
        self.styles: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.add(tag)
        self.ids += [found["id"]] if found.get("id") else []
        where = self.links if tag == "a" else self.loaded
        where += [str(found[name]) for name in ("href", "src") if name in found]
        assert "style" not in found, "the policy forbids style attributes"
        assert not [name for name in found if name.startswith("on")], found
        if tag not in VOID:
            self._open.append(tag)
        if tag == "code":
            self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}>"

    def handle_data(self, data: str) -> None:
        if "code" in self._open:
            self.code[-1] += data
        if self._open[-1:] == ["style"]:
            self.styles.append(data)


async def page(service: RunningService, path: str = "/docs") -> Page:
    answer = await service.http.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return Page(answer.text)


@pytest.mark.parametrize("path", ["/docs", "/problems/not-found"])
async def test_a_page_may_load_nothing_but_the_style_sheet_inside(path):
    async with running_service() as service:
        found = await page(service, path)
        policy = (await service.http.get(path)).headers["content-security-policy"]
        [style] = found.styles
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; ")
        assert "frame-ancestors 'none'" in policy
        assert found.tags.isdisjoint({"script", "img", "iframe", "form", "object"})
        assert found.loaded == ["data:,"]


async def test_every_link_leads_somewhere():
    async with running_service() as service:
        found = await page(service)
        assert sorted(found.ids) == sorted(set(found.ids))
        for link in set(found.links):
            if link.startswith("#"):
                assert link[1:] in found.ids, link
            elif link.startswith("/"):
                assert (await service.http.get(link)).status_code == 200, link


async def test_every_call_and_every_schema_and_every_problem_is_there():
    async with running_service() as service:
        document = (await service.http.get("/openapi.json")).json()
        found = await page(service)
        for item in document["paths"].values():
            assert {said["operationId"] for said in item.values()} <= set(found.ids)
        assert {f"schema-{name}" for name in document["components"]["schemas"]} <= set(found.ids)
        assert {f"/problems/{name}" for name in KINDS} <= set(found.links)


async def test_the_guide_tells_of_calls_that_are_there_and_leaves_none_out():
    async with running_service() as service:
        document = (await service.http.get("/openapi.json")).json()
        text = (await service.http.get("/docs")).text
    there = {
        f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item
    }
    guide = text[text.index('id="guide-post"') : text.index('id="calls"')]
    named = set(re.findall(r"<code>((?:GET|POST|PUT|DELETE) [^<]*)</code>", guide))
    assert named <= there, "a call that the guide names is not there"
    of_the_service = {"GET /", "GET /livez", "GET /readyz", "GET /openapi.json", "GET /docs"}
    assert there - named == of_the_service | {"GET /problems/{name}"}


async def test_every_command_of_a_call_works_as_it_stands():
    courier = Courier(WebhookSettings())
    webhook = webhook_processor(courier, backoff=DEFAULT)
    async with running_service(webhook, remote_kind("thumbnail")) as service:
        job_id = await service.post(delay=3600)
        document = (await service.http.get("/openapi.json")).json()
        found = await page(service)
        calls = [said for item in document["paths"].values() for said in item.values()]
        for said in calls:
            command = said["x-codeSamples"][0]["source"]
            assert "$JOBLOG" in command
            shown = command.replace("$JOBLOG", "http://localhost:8080")
            assert shown in found.code
            answer = await service.http.send(as_request(shown.replace("$ID", job_id)))
            assert str(answer.status_code) in said["responses"], (command, answer.text)
            of_a_claim = "/claims/$ID/" in command  # whose token only its worker has
            assert answer.status_code < 400 or (answer.status_code, of_a_claim) == (409, True), (
                command, answer.text,
            )  # fmt: skip


async def test_every_command_of_the_guide_works_one_after_the_other():
    webhook = webhook_processor(Courier(WebhookSettings()), backoff=DEFAULT)
    async with running_service(webhook) as service:
        found = await page(service)
        of_calls = await commands(service)
        shown = [code for code in found.code if re.match(r"(ID=\$\()?curl ", code)]
        guide = [code for code in shown if code not in of_calls]
        assert len(guide) >= 10
        job_id = ""
        for command in re.split(r"\n(?=curl|ID=)", "\n".join(guide)):
            if "event-stream" in command:  # it would go on
                continue
            assert job_id or "$ID" not in command, "nobody has set it"
            setting = re.fullmatch(r"ID=\$\((.*) \| jq -r \.id\)", command, re.DOTALL)
            asked = setting[1] if setting else command.replace("$ID", job_id)
            answer = await service.http.send(as_request(asked))
            assert answer.status_code < 400, (command, answer.text)
            job_id = answer.json()["id"] if setting else job_id


async def commands(service: RunningService) -> list[str]:
    """Those of the calls, as the page shows them."""
    document = (await service.http.get("/openapi.json")).json()
    calls = [said for item in document["paths"].values() for said in item.values()]
    sources = [said["x-codeSamples"][0]["source"] for said in calls]
    return [source.replace("$JOBLOG", "http://localhost:8080") for source in sources]


async def test_no_key_stands_for_two_requests():
    async with running_service() as service:
        found = await page(service)
        keyed = [code for code in found.code if "Idempotency-Key: " in code and "curl" in code]
        of_email = [code for code in keyed if '/jobs/email"' in code]
        assert len(of_email) == 2, "in the guide and in the reference"
        keys = re.findall("Idempotency-Key: ([^']+)'", "".join(of_email))
        assert len(keys) == len(set(keys))


async def test_the_title_comes_first_and_the_contents_can_be_folded():
    async with running_service() as service:
        text = (await service.http.get("/docs")).text
        order = [
            text.index(each) for each in ("<h1>", "<nav", "<details><summary>Contents", "<main")
        ]
        assert order == sorted(order)


def as_request(command: str) -> httpx2.Request:
    """What curl would send."""
    words = shlex.split(command.replace("\\\n", ""))
    assert words[0] == "curl"
    assert words[1] in {"-s", "-si"}
    method, url, data, headers = None, "", None, {}
    rest = iter(words[2:])
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif word == "-d":
            data = next(rest)
        else:
            url = word
    return httpx2.Request(
        method or ("GET" if data is None else "POST"), url, headers=headers, content=data
    )


async def test_the_commands_name_the_address_that_the_page_was_asked_for_at():
    async with running_service(allowed_hosts=["jobs.example.com"]) as service:
        for host in ("127.0.0.1:8080", "jobs.example.com"):
            answer = await service.http.get("/docs", headers={"Host": host})
            assert f'"http://{host}/jobs/email"'.replace('"', "&#34;") in answer.text
            assert "$JOBLOG" not in answer.text


async def test_it_is_304_for_who_has_it_and_not_at_another_address():
    async with running_service() as service:
        first = await service.http.get("/docs")
        known = {"If-None-Match": first.headers["etag"]}
        assert (await service.http.get("/docs", headers=known)).status_code == 304
        other = await service.http.get("/docs", headers={**known, "Host": "127.0.0.1"})
        assert other.status_code == 200


async def test_what_a_processor_says_of_itself_is_text_and_not_markup():
    @processor("odd", example="<b>&amp;`</b>")
    async def odd(payload: str, attempt: Attempt) -> None:
        """<script>alert(1)</script> & `<i>`."""

    async with running_service(odd) as service:
        text = (await service.http.get("/docs")).text
        assert "<script>" not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; <code>&lt;i&gt;</code>." in text
        Page(text)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
async def test_the_type_of_a_problem_is_the_path_of_a_page_about_it(kind):
    async with running_service() as service:
        answer = await service.http.get(f"/problems/{kind.name}")
        assert answer.status_code == 200
        assert f"<h1>{kind.title}</h1>".replace("'", "&#39;") in answer.text
        assert f"<code>/problems/{kind.name}</code>" in answer.text


async def test_404_for_a_problem_that_nobody_has():
    async with running_service() as service:
        answer = await service.http.get("/problems/none")
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


def test_a_problem_page_escapes_what_it_shows():
    text = problem_page(Kind("odd", 400, "<b>", "<i> & `<u>`."))
    assert "<h1>&lt;b&gt;</h1>" in text
    assert "<p>&lt;i&gt; &amp; <code>&lt;u&gt;</code>.</p>" in text


@pytest.mark.parametrize("path", ["/docs", "/problems/not-found", "/openapi.json"])
async def test_a_parameter_is_refused_here_too(path):
    async with running_service() as service:
        assert (await service.http.get(f"{path}?page=2")).status_code == 422


def test_the_test_of_pages_bites():
    for planted in ('<a style="x">x</a>', '<a onclick="x">x</a>', "<p><b></p></b>", "<p>"):
        with pytest.raises(AssertionError):
            Page(planted)


async def test_whoever_opens_the_servers_address_is_sent_to_the_page() -> None:
    async with running_service() as service:
        answer = await service.http.get("/")
        assert (answer.status_code, answer.headers["location"]) == (302, "/docs")
        assert (await service.http.get("/?x=1")).status_code == 422
