"""`two_factor` as operators write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.build.passwords import make_step_policy
from gatekeeper.build.second_factor import make_second_factor_policy
from tests.settings.helpers import complaint, load


def test_left_out_whoever_wants_sets_one_up(tmp_path: Path) -> None:
    settings = load(tmp_path)
    steps = make_step_policy(settings)
    assert (steps.two_factor, steps.two_factor_roles) == ("optional", frozenset())
    assert make_second_factor_policy(settings) == ("Back office", None)


@pytest.mark.parametrize("written", ["off", '"off"', "optional", "mandatory"])
def test_off_needs_no_quotes(tmp_path: Path, written: str) -> None:
    mode = written.strip('"')
    assert make_step_policy(load(tmp_path, f"two_factor:\n  mode: {written}\n")).two_factor == mode
    by_variable = load(tmp_path, environ={"GATEKEEPER_TWO_FACTOR__MODE": mode})
    assert make_step_policy(by_variable).two_factor == mode


def test_an_unquoted_off_stays_a_problem_where_it_is_no_word(tmp_path: Path) -> None:
    assert "put it in quotes" in complaint(tmp_path, "branding:\n  product_name: off\n")
    assert "put it in quotes" in complaint(tmp_path, "two_factor:\n  mode: on\n")


def test_roles_trust_and_the_name_in_the_app(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        """
        two_factor:
          roles: [administrators, auditors]
          trust_device: 30d
          issuer: Integration desk
        """,
    )
    assert make_step_policy(settings).two_factor_roles == {"administrators", "auditors"}
    assert make_second_factor_policy(settings) == ("Integration desk", 2_592_000.0)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("mode: sometimes", "must be off, optional or mandatory"),
        ("{mode: mandatory, roles: [a]}", "it is mandatory for everybody; write mode: optional"),
        ("{mode: 'off', roles: a}", "nobody is asked for a code; write mode: optional"),
        ("trust_device: always", "must be never, or such as 30d"),
        ("trust_device: 400d", "between 1m and 365d"),
        ("trust_device: 30", "must be"),
        ('issuer: "Shop: Berlin"', "must not hold a colon"),
    ],
)
def test_what_cannot_be_meant(tmp_path: Path, written: str, said: str) -> None:
    more = f"two_factor: {written}\n" if written.startswith("{") else f"two_factor:\n  {written}\n"
    assert said in complaint(tmp_path, more)
