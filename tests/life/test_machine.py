"""The whole life of tokens as a state machine: whatever is done in whatever order, introspection says what is so.

A model beside the server knows of each token why it would be dead; hypothesis tries to make the two disagree.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from mintmark.admin.administration import Administration
from mintmark.admin.clients import ClientChanges, change_client, disable_client, remove_client
from mintmark.admin.deployment import initialize as initialize_deployment
from mintmark.admin.keys import list_keys, revoke_key, rotate_signing_key
from mintmark.admin.tenants import invalidate_tokens, suspend_tenant
from mintmark.admin.upkeep import KeySchedule, purge_expired, tend_keys
from mintmark.settings import load_settings
from mintmark.tokens.keys import describe_key_state
from tests.life.conftest import make_folder
from tests.life.jwts import read_part
from tests.life.world import Caller, Clock, World, copy_state, inquiry, open_world, token_request

Result = TypeVar("Result")

TENANTS = {
    "std": "oauth2",
    "omada": "omada",
    "again": "wso2",
    "renewed": "wso2",
    "renewed-jwt": "wso2",
}
RULES: dict[str, dict[str, Any]] = {
    "std": {"form": "jwt"},
    "omada": {"form": "opaque"},
    "again": {"audience": ["<issuer>"]},
    "renewed": {"audience": ["<issuer>"], "renew_per_request": True},
    "renewed-jwt": {"audience": ["<issuer>"], "form": "jwt"},
}
NAMES = ("one", "two")
LIFETIME_S = 1000
REFRESH_LIFETIME_S = 1_209_600
LEEWAY_S = 2
REMAINDER_S = 1
SCHEDULE = KeySchedule(lifetime_s=5000, announce_s=360)
LOOKED_AT = 4
"""So many tokens are looked at after each step; all of them at the end."""


@dataclass
class ModelClient:
    """A registration, as the model has it."""

    secret: str
    generation: int
    is_disabled: bool = False


@dataclass
class ModelToken:
    """A token, and what it hangs on."""

    text: str
    tenant: str
    name: str
    tenant_generation: int
    client_generation: int
    expires_at: float
    kind: str = "access"
    kid: str | None = None
    family: int | None = None
    is_revoked: bool = False
    used_at: float | None = None


@dataclass
class Model:
    """What the server ought to think."""

    clients: dict[tuple[str, str], ModelClient] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TENANTS, 0))
    suspended: set[str] = field(default_factory=set)
    revoked_kids: set[str] = field(default_factory=set)
    tokens: list[ModelToken] = field(default_factory=list)
    counter: int = 0

    def next(self) -> int:
        self.counter += 1
        return self.counter

    def is_active(self, token: ModelToken, now: float) -> bool:
        client = self.clients.get((token.tenant, token.name))
        if client is None or client.is_disabled or token.tenant in self.suspended:
            return False
        bound_to = (token.tenant_generation, token.client_generation)
        is_present = bound_to == (self.generations[token.tenant], client.generation)
        is_whole = not token.is_revoked and token.kid not in self.revoked_kids and token.used_at is None
        return is_present and is_whole and now < token.expires_at

    def find_in_slot(self, key: tuple[str, str]) -> ModelToken | None:
        """The token that a client was given last, since what has ended all of its tokens."""
        bound_to = (*key, self.generations[key[0]], self.clients[key].generation)
        in_slot = [
            token
            for token in self.tokens
            if (token.tenant, token.name, token.tenant_generation, token.client_generation) == bound_to
        ]
        return in_slot[-1] if in_slot else None

    def end_family(self, family: int | None) -> None:
        for token in self.tokens:
            if token.family == family is not None and token.kid is None:
                token.is_revoked = True


class Template:
    """One deployment for all examples to copy: a tenant of each kind, two clients each, and a judge in each."""

    folder: Path | None = None
    administration: Administration
    model: dict[tuple[str, str], str]
    judges: dict[str, Caller]


async def make_template(folder: Path) -> None:
    state_dir = folder / "var"
    administration = await initialize_deployment(load_settings(None, {"state_dir": state_dir}, {}))
    await administration.store.close()
    world = await open_world(state_dir, Clock())
    for tenant, dialect in TENANTS.items():
        await world.add_tenant(tenant, dialect, lifetime_s=LIFETIME_S, **RULES[tenant])
    Template.judges = {tenant: await world.add_resource(tenant) for tenant in TENANTS}
    Template.model = {
        (tenant, name): (await world.add_client(tenant, name)).client_secret for tenant in TENANTS for name in NAMES
    }
    Template.administration = world.administration
    await world.close()
    Template.folder = folder


SEEN: Counter[str] = Counter()
"""In how many examples something came about: a machine that never sees a living token proves nothing."""

tenants = st.sampled_from(list(TENANTS))
clients = st.tuples(tenants, st.sampled_from(NAMES))


class LifeOfTokens(RuleBasedStateMachine):
    """Every rule does one thing to the server and the same to the model."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.own = make_folder()
        assert Template.folder is not None
        state_dir = copy_state(Template.folder / "var", Path(self.own.name))
        self.clock = Clock()
        self.world: World = self.run(open_world(state_dir, self.clock, Template.administration))
        self.world.dialects = dict(TENANTS)
        self.model = Model()
        self.seen: set[str] = set()
        for key, secret in Template.model.items():
            self.model.clients[key] = ModelClient(secret, self.model.next())
            self.issue(key)

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.loop.run_until_complete(work)

    def administer(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a verb, and let the server hear of it, as it does within its refresh interval."""

        async def run() -> Result:
            result = await work
            await self.world.application.refresh()
            return result

        return self.run(run())

    @property
    def administration(self) -> Administration:
        return self.world.administration

    def caller(self, key: tuple[str, str]) -> Caller:
        client = self.model.clients.get(key)
        return Caller(*key, client.secret if client else "none")

    def may_ask(self, key: tuple[str, str]) -> bool:
        client = self.model.clients.get(key)
        return client is not None and not client.is_disabled and key[0] not in self.model.suspended

    def pick(self, number: int, *, kind: str | None = None) -> ModelToken | None:
        tokens = [token for token in self.model.tokens if kind in {None, token.kind}]
        return tokens[number % len(tokens)] if tokens else None

    @property
    def refresh_tokens(self) -> list[ModelToken]:
        return [token for token in self.model.tokens if token.kind == "refresh"]

    def keep(self, key: tuple[str, str], text: str, family: int | None = None, kind: str = "access") -> None:
        lifetime_s = LIFETIME_S if kind == "access" else REFRESH_LIFETIME_S
        self.model.tokens.append(
            ModelToken(
                text,
                *key,
                self.model.generations[key[0]],
                self.model.clients[key].generation,
                int(self.clock.now) + lifetime_s,
                kind,
                read_part(text, 0)["kid"] if text.count(".") == 2 else None,
                family,
            )
        )

    # What clients do.

    @rule(keys=st.lists(clients, min_size=2, max_size=4))
    def issue_some(self, keys: list[tuple[str, str]]) -> None:
        for key in keys:
            self.issue(key)

    @rule(keys=st.lists(clients, min_size=1, max_size=2))
    def issue_and_refresh(self, keys: list[tuple[str, str]]) -> None:
        for _, name in keys:
            self.issue(("omada", name))
            self.refresh(-1)

    @rule(
        tenant=st.sampled_from([tenant for tenant, dialect in TENANTS.items() if dialect == "wso2"]),
        name=st.sampled_from(NAMES),
        waits=st.sampled_from([0, 1, LIFETIME_S - REMAINDER_S - 1, LIFETIME_S - REMAINDER_S]),
    )
    def issue_twice(self, tenant: str, name: str, waits: int) -> None:
        """Where the second token has to do with the first."""
        self.issue((tenant, name))
        self.clock.now += waits
        self.issue((tenant, name))

    @rule(key=clients)
    def issue(self, key: tuple[str, str]) -> None:
        answer = self.run(self.world.send(token_request(self.caller(key), self.world.dialects[key[0]])))
        members = answer.json if answer.body else {}
        is_given = answer.status == 200 and members.get("errorCode", 0) == 0
        assert is_given is self.may_ask(key), answer
        if not is_given:
            return
        family = self.model.next()
        if key[0] == "omada":
            self.keep(key, members["result"]["accessToken"], family)
            self.keep(key, members["result"]["refreshToken"], family, "refresh")
        elif not self.is_handed_out_again(key, members):
            self.end_renewed(key)
            self.keep(key, members["access_token"])

    def is_handed_out_again(self, key: tuple[str, str], members: dict[str, Any]) -> bool:
        before, now = self.model.find_in_slot(key), int(self.clock.now)
        if key[0] != "again" or before is None or not self.model.is_active(before, now + REMAINDER_S):
            return False
        assert (members["access_token"], members["expires_in"]) == (before.text, before.expires_at - now)
        self.seen.add("a token handed out again")
        return True

    def end_renewed(self, key: tuple[str, str]) -> None:
        before = self.model.find_in_slot(key)
        if before is not None and key[0].startswith("renewed"):
            self.seen.add(f"a renewed {'JWT' if before.kid else before.kind}")
            before.is_revoked = True

    @rule(number=st.integers(0, 1000))
    def refresh(self, number: int) -> None:
        token = self.pick(number, kind="refresh")
        if token is None or not self.may_ask((token.tenant, token.name)):
            return
        now, key = self.clock.now, (token.tenant, token.name)
        is_alive = self.model.is_active(token, now)
        envelope = self.run(self.world.refresh(self.caller(key), token.text))
        assert (envelope["errorCode"] == 0) is is_alive, (envelope, token)
        if is_alive:
            token.used_at = now
            self.keep(key, envelope["result"]["accessToken"], token.family)
            self.keep(key, envelope["result"]["refreshToken"], token.family, "refresh")
            return
        is_present = token.tenant_generation == self.model.generations[token.tenant] and (
            token.client_generation == self.model.clients[key].generation
        )
        known = is_present and not token.is_revoked and now < token.expires_at
        if known and token.used_at is not None and now - token.used_at > LEEWAY_S:
            self.seen.add("a family that ended by a second use")
            self.model.end_family(token.family)

    @rule(name=st.sampled_from(NAMES))
    def refresh_and_be_robbed(self, name: str) -> None:
        """A refresh token is used, and used by somebody else when its successor is out."""
        if self.may_ask(("omada", name)):
            self.issue(("omada", name))
            self.refresh(-1)
            self.clock.now += LEEWAY_S + 1
            self.refresh(-2)

    @precondition(lambda self: any(token.used_at is not None for token in self.model.tokens))
    @rule(number=st.integers(0, 1000), waits=st.booleans())
    def use_again(self, number: int, waits: bool) -> None:
        """A parallel call of the same client, or, later, a theft."""
        used = [index for index, token in enumerate(self.refresh_tokens) if token.used_at is not None]
        self.clock.now += LEEWAY_S + 1 if waits else 0
        self.refresh(used[number % len(used)])

    @rule(name=st.sampled_from(NAMES))
    def revoke_spent(self, name: str) -> None:
        if self.may_ask(("omada", name)):
            self.issue(("omada", name))
            spent = self.refresh_tokens[-1]
            self.refresh(-1)
            self.revoke(self.model.tokens.index(spent), name)

    @rule(number=st.integers(0, 1000), name=st.sampled_from(NAMES))
    def revoke(self, number: int, name: str) -> None:
        """By its own client, or by another, whom it does not concern."""
        token = self.pick(number)
        if token is None or not self.may_ask((token.tenant, name)):
            return
        is_alive = self.model.is_active(replace(token, used_at=None), self.clock.now)
        answer = self.run(self.world.revoke(self.caller((token.tenant, name)), token.text))
        if token.name != name:
            assert answer.body != b"" if is_alive else answer.status == 200
            return
        assert (answer.status, answer.body) == (200, b"")
        if is_alive:
            token.is_revoked = True
            if token.used_at is not None:
                self.seen.add("a family that ended by the revocation of a spent token")
            if token.kind == "refresh":
                self.model.end_family(token.family)

    # What administrators do.

    def bump(self, key: tuple[str, str]) -> None:
        self.model.clients[key].generation = self.model.next()

    @rule(key=clients, disabled=st.booleans())
    def disable(self, key: tuple[str, str], disabled: bool) -> None:
        if key in self.model.clients:
            self.administer(disable_client(self.administration, *key, disabled=disabled))
            self.model.clients[key].is_disabled = disabled
            if disabled:
                self.bump(key)

    @rule(key=clients)
    def remove_or_register_again(self, key: tuple[str, str]) -> None:
        if key in self.model.clients:
            self.administer(remove_client(self.administration, *key))
            del self.model.clients[key]
        else:
            made = self.run(self.world.add_client(*key))
            self.model.clients[key] = ModelClient(made.client_secret, self.model.next())

    @rule(key=clients, scope=st.sampled_from([("read",), ("read", "write")]))
    def change_scope(self, key: tuple[str, str], scope: tuple[str, ...]) -> None:
        if key in self.model.clients:
            before = self.run(self.administration.store.clients.find(*key))
            self.administer(change_client(self.administration, *key, ClientChanges(scope=scope)))
            # What was so before is no change.
            if before is not None and before.scope != scope:
                self.bump(key)

    @precondition(lambda self: len(self.model.tokens) > LOOKED_AT)
    @rule(tenant=tenants)
    def invalidate(self, tenant: str) -> None:
        self.administer(invalidate_tokens(self.administration, tenant))
        self.model.generations[tenant] = self.model.next()

    @precondition(lambda self: len(self.model.tokens) > 2 * LOOKED_AT)
    @rule(tenant=tenants)
    def suspend_or_resume(self, tenant: str) -> None:
        suspended = tenant not in self.model.suspended
        self.administer(suspend_tenant(self.administration, tenant, suspended=suspended))
        if suspended:
            self.model.suspended.add(tenant)
            self.model.generations[tenant] = self.model.next()
        else:
            self.model.suspended.discard(tenant)

    @rule()
    def rotate(self) -> None:
        self.administer(rotate_signing_key(self.administration, "std", "ES256", announce_s=360))

    @rule(number=st.integers(0, 1000))
    def revoke_a_key(self, number: int) -> None:
        keys = self.run(list_keys(self.administration, "std"))
        key = keys[number % len(keys)]
        was_active = describe_key_state(key, keys, int(self.clock.now)) == "active"
        successor = self.administer(revoke_key(self.administration, "std", key.kid))
        self.model.revoked_kids.add(key.kid)
        self.seen.add(f"a revoked key that was {'active' if was_active else 'idle'}")
        assert (successor is not None) is was_active

    # What time does.

    @rule(seconds=st.sampled_from([0.5, 1, LEEWAY_S + 1, 100, 359, 360, LIFETIME_S - 1, LIFETIME_S, 5000]))
    def advance(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def tend(self) -> None:
        self.administer(tend_keys(self.administration, SCHEDULE))

    @rule()
    def purge(self) -> None:
        self.run(purge_expired(self.administration))

    # What must be so.

    def assert_agreed(self, token: ModelToken) -> None:
        if token.tenant in self.model.suspended:
            asked = inquiry(Template.judges[token.tenant], "introspect", token.text)
            assert self.run(self.world.send(asked)).status == 404
            return
        expected = self.model.is_active(token, self.clock.now)
        self.seen.add(f"{'a living' if expected else 'a dead'} {'JWT' if token.kid else token.kind}")
        key = (token.tenant, token.name)
        if token.kind == "access":
            judge = Template.judges[token.tenant]
        elif self.may_ask(key):
            judge = self.caller(key)
        else:
            return
        assert self.run(self.world.is_active(judge, token.text)) is expected, token

    @invariant()
    def introspection_never_disagrees_with_the_model(self) -> None:
        for token in self.model.tokens[-LOOKED_AT:] + self.model.tokens[:LOOKED_AT]:
            self.assert_agreed(token)

    def teardown(self) -> None:
        for token in self.model.tokens:
            self.assert_agreed(token)
        for outcome in self.seen:
            SEEN[outcome] += 1
        self.run(self.world.close())
        self.loop.close()
        self.own.cleanup()


def test_introspection_never_disagrees_with_a_model_of_the_life_of_tokens(tmp_path: Path):
    asyncio.run(make_template(tmp_path))
    run_state_machine_as_test(
        LifeOfTokens,
        settings=settings(
            max_examples=50,
            stateful_step_count=50,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    wanted = {f"{state} {kind}" for state in ("a living", "a dead") for kind in ("JWT", "access", "refresh")}
    wanted |= {"a token handed out again", "a renewed JWT", "a renewed access"}
    wanted |= {"a revoked key that was active", "a revoked key that was idle"}
    rare = {"a family that ended by the revocation of a spent token", "a family that ended by a second use"}
    assert wanted <= {outcome for outcome, examples in SEEN.items() if examples >= 3}, SEEN
    assert rare <= SEEN.keys(), SEEN
