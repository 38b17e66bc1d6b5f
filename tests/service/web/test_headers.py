"""Request headers as plain values: what each means, and what is refused rather than guessed.

Only the reading; what an answer makes of them is tested with the calls.
"""

from typing import Any

import pytest
from starlette.requests import Request

from service.web.headers import (
    Tags,
    acceptable,
    etag,
    idempotency_key,
    if_match,
    if_none_match,
    prefer_wait,
)
from service.web.problems import INVALID_HEADER, NOT_ACCEPTABLE, ProblemError


def request(name: str, *values: str) -> Request:
    headers = [(name.lower().encode(), value.encode("latin-1")) for value in values]
    return Request({"type": "http", "headers": headers})


def refused(read: Any, *values: str, name: str) -> None:
    with pytest.raises(ProblemError) as error:
        read(request(name, *values))
    assert error.value.kind is INVALID_HEADER


def test_an_etag_is_the_revision_quoted() -> None:
    assert etag(5) == '"5"'


@pytest.mark.parametrize(
    ("values", "tags"),
    [
        (['"5"'], Tags(any=False, strong=frozenset({5}))),
        (['W/"5"'], Tags(any=False, weak=frozenset({5}))),
        (['"1", W/"2","x"', '"3"'], Tags(False, frozenset({1, 3}), frozenset({2}))),
        (["*"], Tags(any=True)),
        ([" * "], Tags(any=True)),
        (['"05", "0", "-1"'], Tags(any=False)),
        (['"a,b", ,"5",'], Tags(any=False, strong=frozenset({5}))),
    ],
)
def test_entity_tags(values: list[str], tags: Tags) -> None:
    assert if_none_match(request("If-None-Match", *values)) == tags


@pytest.mark.parametrize("value", ["5", '"5', 'w/"5"', '"5" "', "", ",", '*, "5"', '"a b"', "'5'"])
def test_what_is_no_list_of_entity_tags(value: str) -> None:
    refused(if_none_match, value, name="If-None-Match")
    refused(if_match, value, name="If-Match")


def test_if_match_compares_strongly_and_if_none_match_weakly() -> None:
    both = '"1", W/"2"'
    assert if_match(request("If-Match", both)) == {1}
    tags = if_none_match(request("If-None-Match", both))
    assert tags is not None
    assert [rev for rev in range(4) if tags.match(rev)] == [1, 2]


def test_no_condition_is_no_condition() -> None:
    assert if_match(request("If-Match", "*")) is None
    assert if_match(request("Other", "x")) is None
    assert if_none_match(request("Other", "x")) is None


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        (["wait=5"], 5),
        (["return=minimal, WAIT = 5 ; a=b"], 5),
        (["respond-async", "wait=5"], 5),
        (["wait=30"], 30),
        (["wait=31"], 30),
        (["wait=99999999999999999999"], 30),
        (["wait=5, wait=6"], 5),
        (["wait=five"], None),
        (["waiting=5"], None),
        ([""], None),
        ([], None),
    ],
)
def test_prefer_wait(values: list[str], seconds: int | None) -> None:
    assert prefer_wait(request("Prefer", *values)) == seconds


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("order-17", "order-17"),
        ('"order-17"', "order-17"),
        ('"say \\"hi\\" \\\\"', 'say "hi" \\'),
        ("with space, and comma", "with space, and comma"),
        ("a", "a"),
        ("a" * 255, "a" * 255),
        ('"' + "a" * 255 + '"', "a" * 255),
        ("~!", "~!"),
    ],
)
def test_idempotency_keys(value: str, key: str) -> None:
    assert idempotency_key(request("Idempotency-Key", value)) == key


@pytest.mark.parametrize(
    "values",
    [
        [""],
        ['""'],
        ["a" * 256],
        ['"' + "a" * 256 + '"'],
        ["é"],
        ["a\tb"],
        ['"a'],
        ['"a" b'],
        ['"a\\n"'],
        ["a", "a"],
    ],
)
def test_what_is_no_idempotency_key(values: list[str]) -> None:
    refused(idempotency_key, *values, name="Idempotency-Key")


def test_no_idempotency_key() -> None:
    assert idempotency_key(request("Other", "x")) is None


OFFERS = ("application/json", "application/x-ndjson")


@pytest.mark.parametrize(
    ("values", "offer"),
    [
        ([], 0),
        (["*/*"], 0),
        (["application/*"], 0),
        (["application/json"], 0),
        (["application/x-ndjson"], 1),
        (["Application/X-NDJSON; charset=utf-8"], 1),
        (["application/json;q=0.5, application/x-ndjson"], 1),
        (["application/json;q=0.5", "application/x-ndjson;q=0.4"], 0),
        (["application/json, application/x-ndjson"], 0),
        (["*/*, application/json;q=0"], 1),
        (["application/*;q=0.1, application/x-ndjson;q=0.2"], 1),
        (["text/html, */*;q=0.001"], 0),
        (["application/json;q=high"], 0),
        ([""], 0),
    ],
)
def test_the_best_offer(values: list[str], offer: int) -> None:
    assert acceptable(request("Accept", *values), OFFERS) == OFFERS[offer]


@pytest.mark.parametrize("value", ["text/html", "*/*;q=0", "application/json;q=0.000", "json", "*"])
def test_no_offer_is_good_enough(value: str) -> None:
    with pytest.raises(ProblemError) as error:
        acceptable(request("Accept", value), OFFERS)
    assert error.value.kind is NOT_ACCEPTABLE
