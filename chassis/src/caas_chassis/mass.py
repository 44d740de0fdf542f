"""Messages and tasks by the thousand: a statement makes them of the rows that it writes, without an object for each.

Invariant: they are numbered, and given their horizon, as `outbox.INSERT` does: streams are locked in order, from
numbering to commit. What a body may say is the statement's own matter; its service tests it against the model.
"""

from typing import Final

_WRITING: Final = """
, mass_message AS MATERIALIZED (
    SELECT m.*, count(*) OVER (PARTITION BY topic, key)
        - row_number() OVER (PARTITION BY topic, key ORDER BY n) AS behind
    FROM message m
), mass_stream AS (
    INSERT INTO chassis.outbox_stream AS s (topic, key, last_sequence, horizon)
    SELECT topic, key, count(*), pg_current_xact_id()::text::bigint FROM mass_message GROUP BY topic, key
    ORDER BY topic, key
    ON CONFLICT (topic, key) DO UPDATE SET
        last_sequence = s.last_sequence + excluded.last_sequence, horizon = greatest(s.horizon, excluded.horizon)
    RETURNING topic, key, last_sequence, horizon
), mass_outbox AS (
    INSERT INTO chassis.outbox (horizon, id, aggregatetype, aggregateid, type, payload, sequence,
        correlationid, causationid, traceparent, occurred_at)
    SELECT s.horizon, m.id, m.topic, m.key, m.type, convert_to(m.body, 'UTF8'), s.last_sequence - m.behind,
        m.correlationid, m.causationid, m.traceparent, m.occurred_at
    FROM mass_message m JOIN mass_stream s USING (topic, key) ORDER BY m.n
), mass_task AS (
    INSERT INTO chassis.task (effect, key, payload, due_at, correlationid, causationid, actor, traceparent)
    SELECT effect, key, convert_to(body, 'UTF8'), now(), correlationid, causationid, actor, traceparent FROM task
)
"""


def publishing(relations: str, result: str) -> str:
    """The statement `WITH <relations> <result>` that also writes what its relations `message` and `task` hold.

    `message (id uuid, topic, key, type, body text, correlationid, causationid, traceparent, occurred_at, n)`: JSON
    bodies, sent in the order of `n` within a stream. `task (effect, key, body, correlationid, causationid, actor,
    traceparent)`. Run it with `Tx.fetch_publishing`, which wakes whoever has work after the commit.
    """
    return f"WITH {relations}{_WRITING}{result}"
