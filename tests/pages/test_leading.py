"""What commands lead to, as it was read from the rules, is what the rules do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.web.model.graph import model
from app.web.model.leading import RULES, every_command, leads_to
from domain import commands
from domain.aggregate import KEYS, OF_LOG, aggregate_of
from domain.catalogue import EVENTS
from domain.commands import Command
from domain.errors import GatebookError
from domain.events import Event
from domain.policy import DAY, Policy
from domain.stream import Recorded
from tests.domain.histories import LAST_COMMANDS, Step, Wish, live_through, plans
from tests.domain.specification import META, T0

Pair = tuple[type[Command], type[Event]]

JWK = {"kty": "EC", "crv": "P-256", "x": "eA", "y": "eQ"}
kids = st.sampled_from("abcd")
wishes = st.one_of(
    st.builds(commands.AddSigningKey, kids, st.just("ES256"), st.just(JWK)),
    st.builds(
        commands.RotateSigningKey,
        kids,
        st.just("ES256"),
        st.just(JWK),
        st.sampled_from((0, DAY)),
        st.booleans(),
        st.sampled_from((None, DAY)),
    ),
    st.builds(commands.RetireSigningKey, kids, st.sampled_from((0, DAY))),
    st.builds(commands.OpenLog, st.just("one")),
    st.builds(commands.RestoreLog, st.just("other"), st.just(7)),
)
years = st.lists(st.tuples(wishes, st.sampled_from((0, 1, DAY, 2 * DAY))), max_size=10)
ends = st.sampled_from(([], *([Step(0, Wish(kind, 0))] for kind in LAST_COMMANDS)))
MANY = settings(
    max_examples=400,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def of_a_user(plan: list[Step]) -> Iterator[Pair]:
    for decision in live_through(plan).decisions:
        for event in decision.facts:
            yield type(decision.command), type(event)


def of_keys_and_log(told: list[tuple[Command, int]]) -> Iterator[Pair]:
    states = {KEYS: KEYS.state(), OF_LOG: OF_LOG.state()}
    now, place = T0, 0
    for command, after in told:
        now += after
        aggregate = aggregate_of(command.stream)
        try:
            facts = aggregate.decide(states[aggregate], command, Policy(), now)
        except GatebookError:
            continue
        for event in facts:
            place += 1
            recorded = Recorded(command.stream, place, place, now, META, event)
            states[aggregate] = aggregate.evolve(states[aggregate], recorded)
            yield type(command), type(event)


@pytest.fixture(scope="module")
def seen() -> set[Pair]:
    """Every command with every event that came of it, in many random histories."""
    found: set[Pair] = set()

    @MANY
    @given(plans, ends, years)
    def live(plan: list[Step], end: list[Step], told: list[tuple[Command, int]]) -> None:
        found.update(of_a_user([*plan, *end]))
        found.update(of_keys_and_log(told))

    live()
    return found


def test_a_command_leads_to_exactly_the_events_that_histories_have_of_it(seen: set[Pair]) -> None:
    read = {(command, event) for command in every_command() for event in leads_to(command)}
    assert read - seen == set()
    assert seen - read == set()


def test_every_command_is_there_and_is_decided_by_one_aggregate() -> None:
    below = {Command}
    while any(each.__subclasses__() for each in below):
        below = {leaf for each in below for leaf in each.__subclasses__() or [each]}
    assert set(every_command()) == below
    for command in below:
        assert sum(issubclass(command, base) for base, _ in RULES) == 1


def test_every_event_comes_of_a_command() -> None:
    led = {event.name for command in every_command() for event in leads_to(command)}
    assert led == set(EVENTS)


def test_the_model_has_each_thing_once() -> None:
    found = model()
    nodes = [*found.commands, *found.events, *found.views, *found.readers]
    assert len({node.key for node in nodes}) == len(nodes)
    ends = {end for edge in found.edges for end in edge[:2]}
    assert ends - {"log"} == {node.key for node in nodes}
    assert {node.label for node in found.events} == set(EVENTS)
