"""A key's life: announced, active, retired, destroyed; or revoked. And the master key over them all.

RFC: 7517, RFC: 9700; what verifies here is not ours: joserfc, PyJWT, and cryptography for ML-DSA.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey
from joserfc import jws
from joserfc.jwk import KeySet

from mintmark.admin import deployment
from mintmark.admin.administration import AdministrationError, LimitReached
from mintmark.admin.keys import MAX_PUBLISHED, list_keys, revoke_key, rotate_signing_key
from mintmark.admin.upkeep import KeySchedule, tend_keys
from mintmark.authentication.master_key import SealingKey
from mintmark.protocol.errors import MintmarkError, SettingsError
from mintmark.settings import Settings, load_settings
from mintmark.store.deployment import SqlDeployment
from mintmark.tokens.algorithms import ALGORITHMS
from mintmark.tokens.keys import describe_key_state
from tests.life.jwts import decode, read_part
from tests.life.serving import TAKEN_IN_S, LifeServer, read_token
from tests.life.world import Caller, Clock, Sent, World, copy_state, open_world

DAY_S = 86_400
SCHEDULE = KeySchedule(lifetime_s=90 * DAY_S, announce_s=2 * DAY_S)
HOUR_S = 3600


async def jwks_of(world: World, tenant: str = "std") -> Any:
    return (await world.send(Sent("GET", f"/t/{tenant}/oauth2/jwks", {}))).json


async def kids_of(world: World) -> list[str]:
    return [key["kid"] for key in (await jwks_of(world))["keys"]]


async def states_of(world: World, alg: str = "ES256") -> list[str]:
    keys = [key for key in await list_keys(world.administration, "std") if key.alg == alg]
    return [describe_key_state(key, keys, int(world.clock.now)) for key in keys]


async def tend(world: World, schedule: KeySchedule = SCHEDULE) -> None:
    await tend_keys(world.administration, schedule)
    await world.application.refresh()


async def test_rotating_by_hand_ends_at_a_bound_and_revoking_never_does(world: World):
    await world.add_tenant("std")
    first = await kids_of(world)
    for _ in range(MAX_PUBLISHED - len(first)):
        await rotate_signing_key(world.administration, "std", "ES256", announce_s=HOUR_S)
    with pytest.raises(LimitReached, match="mintmark keys revoke"):
        await rotate_signing_key(world.administration, "std", "ES256", announce_s=HOUR_S)
    await world.application.refresh()
    before = await kids_of(world)
    successor = await revoke_key(world.administration, "std", first[0])
    assert successor is not None
    await world.application.refresh()

    assert len(before) == MAX_PUBLISHED
    assert set(await kids_of(world)) == {*before, successor.kid} - {first[0]}
    announced = await revoke_key(world.administration, "std", before[-1])
    assert announced is None
    await rotate_signing_key(world.administration, "std", "ES256", announce_s=HOUR_S)


def kid_of(token: str) -> str:
    kid: str = read_part(token, 0)["kid"]
    return kid


# By the calendar.


async def test_a_keys_life_by_the_calendar(world: World):
    """Announced before it signs, then active, its predecessor verifying on, and that one destroyed at last."""
    await world.add_tenant("std", lifetime_s=HOUR_S)
    caller = await world.add_client("std")
    start = world.clock.now
    [first] = await kids_of(world)

    world.clock.now = start + 88 * DAY_S - 1
    await tend(world)
    assert await kids_of(world) == [first]

    world.clock.now = start + 88 * DAY_S
    await tend(world)
    await tend(world)
    assert await states_of(world) == ["active", "announced"]
    [_, second] = await kids_of(world)
    assert kid_of(await world.token(caller)) == first

    world.clock.now = start + 90 * DAY_S - 1
    old = await world.token(caller)
    assert kid_of(old) == first
    world.clock.now = start + 90 * DAY_S
    new = await world.token(caller)
    assert kid_of(new) == second
    assert await states_of(world) == ["retired", "active"]
    assert await world.is_active(caller, old)
    assert await world.is_active(caller, new)

    world.clock.now = start + 90 * DAY_S + HOUR_S - 2
    await tend(world)
    assert await world.is_active(caller, old)
    assert await kids_of(world) == [first, second]

    world.clock.now = start + 90 * DAY_S + HOUR_S + 300
    await tend(world)
    assert await kids_of(world) == [first, second]
    world.clock.now += 1
    await tend(world)
    assert await kids_of(world) == [second]
    assert [key.kid for key in await list_keys(world.administration, "std")] == [second]


async def test_a_retired_key_stays_for_the_longest_token_that_a_client_may_have(world: World):
    await world.add_tenant("std", lifetime_s=HOUR_S)
    patient = await world.add_client("std", token_rules={"lifetime_s": 30 * DAY_S})
    world.clock.now += 88 * DAY_S
    await tend(world)
    world.clock.now += 2 * DAY_S - 1
    token = await world.token(patient)
    for days in (1, 10, 18):
        world.clock.now += days * DAY_S
        await tend(world)
        assert await world.is_active(patient, token)
    world.clock.now += DAY_S + 302
    await tend(world)

    assert kid_of(token) not in await kids_of(world)


async def test_a_server_that_slept_announces_before_it_changes_keys(world: World):
    await world.add_tenant("std")
    caller = await world.add_client("std")
    [first] = await kids_of(world)
    world.clock.now += 400 * DAY_S
    await tend(world)
    assert kid_of(await world.token(caller)) == first
    world.clock.now += 2 * DAY_S

    assert kid_of(await world.token(caller)) != first


async def test_every_algorithm_of_a_tenant_has_a_calendar_of_its_own(world: World):
    await world.add_tenant("std")
    world.clock.now += 10 * DAY_S
    await world.add_client("std", token_rules={"alg": "EdDSA"})
    world.clock.now += 78 * DAY_S
    await tend(world)

    assert await states_of(world) == ["active", "announced"]
    assert await states_of(world, "EdDSA") == ["active"]


@pytest.mark.rfc("7517", "5")
async def test_a_rotated_key_is_in_the_key_set_before_it_signs(world: World):
    await world.add_tenant("std")
    caller = await world.add_client("std")
    key = await rotate_signing_key(world.administration, "std", "ES256", announce_s=360)
    await world.application.refresh()
    assert key.kid in await kids_of(world)
    assert kid_of(await world.token(caller)) != key.kid
    world.clock.now += 359
    before = await world.token(caller)
    world.clock.now += 1
    after = await world.token(caller)

    assert kid_of(before) != key.kid == kid_of(after)
    assert await world.is_active(caller, before)
    assert await world.is_active(caller, after)


async def test_an_announcement_outlasts_the_time_for_which_a_key_set_may_be_kept_by_a_minute(world: World):
    await world.add_tenant("std")
    answer = await world.send(Sent("GET", "/t/std/oauth2/jwks", {}))
    max_age = int(answer.headers["cache-control"].removeprefix("public, max-age="))

    least = max_age + 60

    with pytest.raises(AdministrationError, match="announce"):
        await rotate_signing_key(world.administration, "std", "ES256", announce_s=least - 1)
    await rotate_signing_key(world.administration, "std", "ES256", announce_s=least)
    with pytest.raises(SettingsError, match="key_announce_s"):
        load_settings(None, {}, {"MINTMARK_KEY_ANNOUNCE_S": str(least - 1)})
    assert load_settings(None, {}, {"MINTMARK_KEY_ANNOUNCE_S": str(least)}).key_announce_s == least


# Revoked.


@pytest.mark.parametrize("state", ["announced", "retired"])
async def test_revoking_a_key_that_does_not_sign_changes_nothing_for_the_one_that_does(world: World, state: str):
    """A new key would sign before any verifier has heard of it."""
    await world.add_tenant("std")
    caller = await world.add_client("std")
    old = await world.token(caller)
    successor = await rotate_signing_key(world.administration, "std", "ES256", announce_s=360)
    world.clock.now += 360 if state == "retired" else 0
    await world.application.refresh()
    signing = await world.token(caller)
    chosen = kid_of(old) if state == "retired" else successor.kid
    assert await revoke_key(world.administration, "std", chosen) is None
    await world.application.refresh()

    assert kid_of(await world.token(caller)) == kid_of(signing)
    assert await world.is_active(caller, signing)
    assert await world.is_active(caller, old) is (state == "announced")
    assert chosen not in await kids_of(world)


async def test_a_revoked_key_leaves_the_key_set_and_a_new_one_signs_at_once(world: World):
    await world.add_tenant("std")
    caller = await world.add_client("std")
    old = await world.token(caller)
    successor = await revoke_key(world.administration, "std", kid_of(old))
    await world.application.refresh()
    assert successor is not None
    assert await kids_of(world) == [successor.kid]
    assert kid_of(await world.token(caller)) == successor.kid
    assert await revoke_key(world.administration, "std", kid_of(old)) is None
    world.clock.now += HOUR_S + 301
    await tend(world)
    assert [key.kid for key in await list_keys(world.administration, "std")] == [successor.kid]


# Algorithms.

BY_JOSE = [name for name in ALGORITHMS if name != "ML-DSA-65"]


@pytest.mark.rfc("7518", "3.1")
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
async def test_every_algorithm_is_verified_by_others_through_the_key_set(world: World):
    assert set(BY_JOSE) == {"RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"}
    await world.add_tenant("std")
    for alg in BY_JOSE:
        caller = await world.add_client("std", token_rules={"alg": alg}, audience=("api1",))
        token = await world.token(caller)
        jwks = await jwks_of(world)
        by_pyjwt = jwt.decode(
            token,
            jwt.PyJWKSet.from_dict(jwks)[kid_of(token)],
            [alg],
            audience="api1",
            # The clock of this world is not theirs.
            options={"verify_iat": False, "verify_exp": False},
        )
        by_joserfc = json.loads(jws.deserialize_compact(token, KeySet.import_key_set(jwks), [alg]).payload)

        assert by_pyjwt == by_joserfc
        assert by_joserfc["client_id"] == caller.client_id
        assert await world.is_active(caller, token)
        broken = token[:-10] + ("A" if token[-10] != "A" else "B") + token[-9:]
        assert not await world.is_active(caller, broken)


async def test_ml_dsa_is_verified_by_cryptography(world: World):
    await world.add_tenant("std")
    caller = await world.add_client("std", token_rules={"alg": "ML-DSA-65"})
    token = await world.token(caller)
    jwk = next(key for key in (await jwks_of(world))["keys"] if key["kid"] == kid_of(token))
    text, _, signature = token.rpartition(".")
    public = MLDSA65PublicKey.from_public_bytes(decode(jwk["pub"]))
    public.verify(decode(signature), text.encode())

    assert (jwk["kty"], jwk["alg"], read_part(token, 0)["alg"]) == ("AKP", "ML-DSA-65", "ML-DSA-65")
    assert "priv" not in jwk
    with pytest.raises(InvalidSignature):
        public.verify(decode(signature), text.encode() + b"x")
    assert await world.is_active(caller, token)


# By the command line, on a running server.


def test_keys_are_listed_rotated_and_revoked_under_a_running_server(pair: LifeServer):
    pair.add_tenant("keys-cli")
    caller = pair.add_client("keys-cli")
    workers = pair.connect()
    old = read_token(workers[0].issue(caller))
    words = ("--tenant", "keys-cli")
    rotated = json.loads(pair.cli("keys", "rotate", *words, "--alg", "ES256", "--announce", "360", "--json"))
    text = pair.cli("keys", "list", *words, "--json")
    listed = {key["kid"]: key["state"] for key in json.loads(text)}
    assert listed == {kid_of(old): "active", rotated["kid"]: "announced"}
    assert "sealed" not in text
    time.sleep(TAKEN_IN_S)
    for worker in workers:
        published = worker.send(Sent("GET", "/t/keys-cli/oauth2/jwks", {})).json
        assert {key["kid"] for key in published["keys"]} == set(listed)
        assert kid_of(read_token(worker.issue(caller))) == kid_of(old)

    revoked = json.loads(pair.cli("keys", "revoke", *words, kid_of(old), "--json"))
    assert [worker.is_active(caller, old) for worker in workers] == [False, False]
    time.sleep(TAKEN_IN_S)
    for worker in workers:
        token = read_token(worker.issue(caller))
        assert kid_of(token) == revoked["kid"]
        assert {one.is_active(caller, token) for one in workers} == {True}
        published = worker.send(Sent("GET", "/t/keys-cli/oauth2/jwks", {})).json
        assert {key["kid"] for key in published["keys"]} == {revoked["kid"], rotated["kid"]}


# The master key.


class PowerCut(BaseException):
    """What ends a process between two steps: nothing catches it."""


def settings_of(state_dir: Path, key_file: Path) -> Settings:
    return load_settings(None, {"state_dir": state_dir, "master_key_file": key_file}, {})


async def open_with(state_dir: Path, key_file: Path) -> World | None:
    """Open the deployment with one master key; None if that is not its own."""
    try:
        administration = await deployment.open_deployment(settings_of(state_dir, key_file))
    except MintmarkError:
        return None
    await administration.store.close()
    return await open_world(state_dir, Clock(time.time()), master_key_file=key_file)


def die(*_: object, **__: object) -> None:
    raise PowerCut


STEPS: dict[str, tuple[object, str] | None] = {
    "before anything": (deployment, "_open_root_key"),
    "before the new key is made": (deployment, "create_master_key"),
    "before the root key is sealed again": (SealingKey, "seal"),
    "before it is written": (SqlDeployment, "put_fact"),
    "nowhere": None,
}


@pytest.mark.parametrize("step", STEPS)
def test_a_reseal_that_is_cut_off_leaves_a_deployment_that_one_of_the_two_keys_opens(
    empty_state: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
):
    state_dir, new_key = copy_state(empty_state, folder), folder / "new.key"
    old_key = state_dir / "master.key"
    token, caller = asyncio.run(prepare(state_dir, old_key))
    broken = STEPS[step]
    if broken is not None:
        monkeypatch.setattr(*broken, die)
        with pytest.raises(PowerCut):
            asyncio.run(deployment.reseal(settings_of(state_dir, old_key), new_key))
        monkeypatch.undo()
    else:
        asyncio.run(deployment.reseal(settings_of(state_dir, old_key), new_key))

    opened = asyncio.run(which_open(state_dir, [old_key, new_key], token, caller))
    assert opened == ([False, True] if broken is None else [True, False])

    if broken is not None:
        asyncio.run(deployment.reseal(settings_of(state_dir, old_key), new_key))
        assert asyncio.run(which_open(state_dir, [old_key, new_key], token, caller)) == [False, True]


def test_a_reseal_that_is_cut_off_after_its_write_has_happened(
    empty_state: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    state_dir, new_key = copy_state(empty_state, folder), folder / "new.key"
    old_key = state_dir / "master.key"
    token, caller = asyncio.run(prepare(state_dir, old_key))
    put_fact = SqlDeployment.put_fact

    async def put_and_die(self: SqlDeployment, name: str, value: str) -> None:
        await put_fact(self, name, value)
        raise PowerCut

    monkeypatch.setattr(SqlDeployment, "put_fact", put_and_die)
    with pytest.raises(PowerCut):
        asyncio.run(deployment.reseal(settings_of(state_dir, old_key), new_key))
    monkeypatch.undo()

    assert asyncio.run(which_open(state_dir, [old_key, new_key], token, caller)) == [False, True]


def test_an_old_master_key_cannot_reseal(empty_state: Path, folder: Path):
    state_dir, new_key, third = copy_state(empty_state, folder), folder / "new.key", folder / "third.key"
    old_key = state_dir / "master.key"
    asyncio.run(deployment.reseal(settings_of(state_dir, old_key), new_key))
    with pytest.raises(SettingsError):
        asyncio.run(deployment.reseal(settings_of(state_dir, old_key), third))

    assert not third.exists()
    assert new_key.stat().st_mode & 0o777 == 0o600


async def prepare(state_dir: Path, key_file: Path) -> tuple[str, Caller]:
    world = await open_with(state_dir, key_file)
    assert world is not None
    await world.add_tenant("std", form="jwt")
    caller = await world.add_client("std")
    token = await world.token(caller)
    await world.close()
    return token, caller


async def which_open(state_dir: Path, key_files: list[Path], token: str, caller: Caller) -> list[bool]:
    """Tell which keys open the deployment; with one that does, old tokens live and new ones are given."""
    opened = []
    for key_file in key_files:
        world = await open_with(state_dir, key_file)
        opened.append(world is not None)
        if world is not None:
            world.dialects["std"] = "oauth2"
            assert await world.is_active(caller, token)
            assert await world.is_active(caller, await world.token(caller))
            await rotate_signing_key(world.administration, "std", "ES256", announce_s=360)
            await world.close()
    return opened
