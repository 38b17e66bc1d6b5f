"""What strangers may try over HTTP and in what they have joblog send, and the tests that say what
becomes of it: a row for each matter, so that a reader can look for the one that is missing.

The levels `hostile lines`, `hostile requests` and `hostile clients` try all of it by lot, in
combinations that nobody wrote down; the tests here have the exact answers. A test of this file
holds that each of them exists.
"""

from typing import Final

WEB, EMAIL, WEBHOOK = "tests/service/web", "tests/service/email", "tests/service/webhook"
STRICT, BODY, GATE = f"{WEB}/test_strictjson.py", f"{WEB}/test_body.py", f"{WEB}/test_gate.py"
CLI = "tests/service/cli"
SILENT = "test_200_silent_clients_are_gone_in_time_and_keep_nobody_waiting"
TEXTS = "test_whatever_the_text_is_it_is_refused_or_the_block_says_just_that"
HTTP, REFUSALS = "tests/service/test_http.py", "tests/service/test_http_refusals.py"

TESTS: Final[dict[str, tuple[str, ...]]] = {
    "slow headers and bodies (slowloris)": (
        f"{HTTP}::test_who_sends_no_whole_header_in_time_is_cut_off",
        f"{HTTP}::test_who_sends_it_byte_by_byte_is_cut_off_too",
        f"{HTTP}::test_200_silent_connections_do_not_keep_a_client_waiting",
        f"{BODY}::test_408_for_a_body_that_is_not_there_within_30_s",
        f"tests/e2e/test_access.py::{SILENT}",
    ),
    "a giant body": (
        f"{BODY}::test_413_from_the_announcement_before_a_byte_is_read",
        f"{BODY}::test_413_counted_while_it_arrives_whatever_is_announced",
    ),
    "a giant header": (
        f"{GATE}::test_431_for_more_than_16_kib_of_header",
        f"{GATE}::test_414_for_more_than_8_kib_of_path_and_query",
        f"{REFUSALS}::test_a_header_that_never_ends_is_refused",
    ),
    "deep JSON": (f"{STRICT}::test_nesting_to_the_limit_and_no_deeper",),
    "JSON that is many times as large in memory": (
        f"{WEB}/test_bodies.py::test_503_for_a_byte_more_than_the_others_leave",
        f"{WEB}/test_long_bodies.py::test_so_is_one_of_which_each_token_is_inspected",
        f"{STRICT}::test_no_text_takes_long_to_refuse",
    ),
    "NaN, Infinity, 1e999": (
        f"{STRICT}::test_numbers_that_no_double_holds",
        f"{STRICT}::test_what_only_some_readers_take_for_json",
    ),
    "a member given twice": (f"{STRICT}::test_a_member_given_twice",),
    "half a surrogate pair": (f"{STRICT}::test_half_a_surrogate_pair",),
    "UTF-16, a byte order mark, no UTF-8": (
        f"{STRICT}::test_a_byte_order_mark_and_other_encodings",
        f"{STRICT}::test_bytes_that_are_not_utf_8",
    ),
    "integers of thousands of digits": (f"{STRICT}::test_integers_to_2_to_the_53_and_no_further",),
    "NUL": (f"{STRICT}::test_u0000",),
    "line ends in the headers of an e-mail": (
        f"{EMAIL}/test_message.py::test_a_subject_is_one_line_without_control_characters",
        f"{EMAIL}/test_message.py::test_an_encoded_word_is_refused",
        f"{EMAIL}/test_message.py::test_what_python_takes_for_an_encoded_word_is_refused_too",
        f"{EMAIL}/test_header.py::{TEXTS}",
    ),
    "webhooks to where they should not go (SSRF)": (
        f"{WEBHOOK}/test_guard.py::test_what_is_not_public_may_not",
        f"{WEBHOOK}/test_message.py::test_an_ipv4_address_is_four_decimal_numbers_and_nothing_else",
        f"{WEBHOOK}/test_network.py::test_the_connection_is_to_the_address_that_was_judged",
        f"{WEBHOOK}/test_network.py::test_a_name_that_is_rebound_to_this_machine_is_refused",
        f"{WEBHOOK}/test_network.py::test_one_address_out_of_bounds_refuses_them_all",
        f"{WEBHOOK}/test_delivery.py::test_a_redirect_is_not_followed",
        f"{WEBHOOK}/test_delivery.py::test_tls_verifies_the_name_and_not_the_address",
        f"{WEBHOOK}/test_delivery.py::test_an_answer_that_never_ends_is_read_so_far_and_no_further",
    ),
    "names that lead out of a directory": (
        "tests/eventstore/test_event.py::test_what_is_not_a_stream_name_is_refused",
        "tests/service/test_processors.py::test_such_a_name_is_none",
    ),
    "text that plays tricks on a terminal or a server's log": (
        f"{CLI}/test_logs.py::test_what_is_quoted_cannot_begin_a_line_of_its_own",
        f"{CLI}/test_cli.py::test_controls_are_written_out",
        f"{CLI}/test_jobs.py::test_json_on_a_terminal_shows_no_controls_and_means_the_same",
    ),
    "guessing a token": (
        "tests/service/test_access.py::test_every_token_is_looked_at_whichever_it_is",
        f"{WEB}/test_access.py::test_what_is_none_of_ours_is_401_and_not_said_back",
    ),
    "a page that rebinds its name (DNS rebinding)": (
        f"{GATE}::test_421_for_another_host_on_every_route",
        f"{GATE}::test_421_for_everything_that_only_looks_like_it",
        f"{GATE}::test_another_host_leaves_no_trace",
    ),
    "a page that gives orders elsewhere (CSRF)": (
        f"{GATE}::test_403_for_an_order_of_another_sites_page",
        f"{BODY}::test_415_for_anything_else",
    ),
    "readers of a stream that read slowly, or not": (
        f"{WEB}/test_stream.py::test_who_does_not_read_is_not_read_for",
        f"{WEB}/test_stream.py::test_a_stream_takes_a_place_until_its_reader_goes_away",
        f"{HTTP}::test_who_does_not_take_its_answer_is_cut_off",
    ),
    "a request hidden in another (smuggling)": (
        f"{REFUSALS}::test_what_is_no_http_is_400_as_a_problem",
        f"{REFUSALS}::test_nonsense_after_a_request_is_400_after_its_answer",
        "tests/service/test_hostile_requests_bites.py::test_a_planted_bug_is_found_on_sockets",
    ),
}
