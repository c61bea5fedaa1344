"""Old turns: a new one takes some of them along, and is in nobody's way."""

import asyncio
from datetime import timedelta

from integration.chats.support import rows
from integration.chats.test_chats_turns import LONG_AGO, make_turn, opened, order
from sqlalchemy import create_engine, make_url, text

from connectors.chats.database import upgrade
from connectors.chats.turns import FORGOTTEN_AT_ONCE
from schemas import utcnow


def asked(days, number=0, **fields):
    return make_turn(request_key=f"{days}-{number}", asked_at=utcnow() - timedelta(days=days), **fields)


async def test_old_turns_go_with_new_ones_some_at_a_time_and_no_young_one_whatever_its_state(database):
    async with opened(database) as store:
        for number in range(FORGOTTEN_AT_ONCE):
            await store.begin(asked(9, number))
        await store.begin(asked(8, state="followed"))
        await store.begin(asked(6))
        await store.begin(asked(6, 1, state="refused"))
        await store.begin(order(request_key="first"), forget_before=LONG_AGO)
        assert sorted(each["request_key"] for each in rows(database, "turn")) == ["6-0", "6-1", "8-0", "first"]
        await store.begin(order(request_key="second"), forget_before=LONG_AGO)
        found = sorted(each["request_key"] for each in rows(database, "turn"))
        assert found == ["6-0", "6-1", "first", "second"]
        assert len(rows(database, "message")) == 2 * (FORGOTTEN_AT_ONCE + 3)  # which stay
        assert await store.begin(order(request_key="first")) != order(request_key="first")


async def test_many_who_forget_at_once_get_in_nobodys_way(database):
    keys = [f"old-{number}" for number in range(3 * FORGOTTEN_AT_ONCE)]
    async with opened(database) as one, opened(database) as other:
        for each in keys:
            await one.begin(order(request_key=each, asked_at=utcnow() - timedelta(days=9)))
        wanted = [*keys[::2], *(f"new-{number}" for number in range(20))]
        found = await asyncio.gather(
            *(
                (one, other)[n % 2].begin(order(request_key=each), forget_before=LONG_AGO)
                for n, each in enumerate(wanted)
            )
        )
    begun = {each.attempt for each in found if each.asked_at > LONG_AGO}
    assert len(begun) >= 20
    assert begun <= {each["attempt"] for each in rows(database, "turn")}


async def test_an_old_turn_that_somebody_is_at_is_left_to_them(postgres_database):
    await upgrade(postgres_database)
    engine = create_engine(make_url(postgres_database).set(drivername="postgresql+psycopg"))
    async with opened(postgres_database) as store:
        await store.begin(asked(9))
        with engine.begin() as connection:
            connection.execute(text("SELECT 1 FROM turn FOR UPDATE"))
            await store.begin(order(request_key="first"), forget_before=LONG_AGO)
        assert len(rows(postgres_database, "turn")) == 2
        await store.begin(order(request_key="second"), forget_before=LONG_AGO)
    engine.dispose()
    assert sorted(each["request_key"] for each in rows(postgres_database, "turn")) == ["first", "second"]
