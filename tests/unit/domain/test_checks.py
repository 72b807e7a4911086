"""What is promised about results from outside: their names, addresses and which one counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lockgate.domain.checks import LONGEST_COMMENT, Check, check_comment, check_name, check_url
from lockgate.domain.errors import BadInput
from lockgate.domain.grades import Grade
from lockgate.domain.identity import SERVICE, Who

CI = Who("ci", verified=True, kind=SERVICE)
AT = datetime(2026, 3, 1, tzinfo=UTC)


def test_a_check_is_attested() -> None:
    check = Check("bias-audit", True, CI, AT + timedelta(microseconds=7), "sha256:files")

    assert check.grade == Grade.ATTESTED


@pytest.mark.parametrize("name", ["a", "0", "ci/bias-audit", "unit_tests.v2", "a" * 100])
def test_a_name_of_small_letters_digits_and_a_few_signs_is_good(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "A", "-a", "/a", "a b", "a\n", "größe", "a'b", "a" * 101, None, 7])
def test_any_other_name_is_refused_with_the_form(name: object) -> None:
    with pytest.raises(BadInput, match="a-z 0-9"):
        check_name(name)


@pytest.mark.parametrize("url", ["", "http://ci", "https://ci.example.com/runs/42?x=1#end", "HTTPS://[::1]:8443/ü"])
def test_an_address_of_http_is_good(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "ci.example.com",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "ftp://ci/x",
        "http://",
        "http:///x",
        "https://[::1",
        "https://ann:secret@ci/x",
        "https://ci/ x",
        "https://ci/\nx",
        "https://ci/" + "x" * 2_000,
        None,
    ],
)
def test_any_other_address_is_refused(url: object) -> None:
    with pytest.raises(BadInput) as refused:
        check_url(url)
    assert "secret" not in str(refused.value)


def test_a_comment_is_a_text_that_is_not_too_long() -> None:
    assert check_comment("ü" * LONGEST_COMMENT)
    for wrong in ("x" * (LONGEST_COMMENT + 1), "x\0", None, 3):
        with pytest.raises(BadInput, match="at most"):
            check_comment(wrong)
