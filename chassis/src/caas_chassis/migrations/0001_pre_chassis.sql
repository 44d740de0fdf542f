CREATE TABLE chassis.outbox_stream (
    topic text NOT NULL,
    key text NOT NULL,
    last_sequence bigint NOT NULL CHECK (last_sequence > 0),
    horizon bigint NOT NULL,
    PRIMARY KEY (topic, key)
) WITH (fillfactor = 80);
COMMENT ON TABLE chassis.outbox_stream IS
    'One row per published stream; its lock makes commit order equal to sequence order.';

CREATE TABLE chassis.outbox (
    position bigint GENERATED ALWAYS AS IDENTITY,
    horizon bigint NOT NULL,
    id uuid NOT NULL,
    aggregatetype text NOT NULL,
    aggregateid text NOT NULL,
    type text NOT NULL,
    payload bytea NOT NULL,
    sequence bigint NOT NULL,
    correlationid text NOT NULL,
    causationid text NOT NULL,
    traceparent text,
    occurred_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (created_at);
CREATE TABLE chassis.outbox_default PARTITION OF chassis.outbox DEFAULT;
COMMENT ON TABLE chassis.outbox_default IS 'Rows of weeks for which no partition was created in time.';

-- The partition of the week (UTC, from Monday) that holds a day; NULL when it exists, or when rows of that week are
-- in the default partition already, where they stay.
-- Runs as the owner: the serving role may create nothing.
CREATE FUNCTION chassis.create_outbox_partition(day date) RETURNS text LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first date := date_trunc('week', day::timestamp)::date;
    name text := 'outbox_' || to_char(first, 'YYYYMMDD');
    from_at timestamptz := first::timestamp AT TIME ZONE 'UTC';
    to_at timestamptz := (first + 7)::timestamp AT TIME ZONE 'UTC';
BEGIN
    IF to_regclass('chassis.' || name) IS NOT NULL
        OR EXISTS (SELECT 1 FROM chassis.outbox_default WHERE created_at >= from_at AND created_at < to_at) THEN
        RETURN NULL;
    END IF;
    EXECUTE format('CREATE TABLE chassis.%I PARTITION OF chassis.outbox FOR VALUES FROM (%L) TO (%L)',
        name, from_at, to_at);
    RETURN name;
END $$;

-- As the owner, too: drops a partition of the outbox, and nothing else.
CREATE FUNCTION chassis.drop_outbox_partition(name text) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF name !~ '^outbox_[0-9]{8}$' THEN
        RAISE EXCEPTION '% is no partition of the outbox', name USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format('DROP TABLE chassis.%I', name);
END $$;

CREATE INDEX outbox_relay ON chassis.outbox (horizon, position);
CREATE INDEX outbox_stream_sequence ON chassis.outbox (aggregatetype, aggregateid, sequence);
SELECT chassis.create_outbox_partition((now() + make_interval(weeks => ahead))::date)
FROM generate_series(0, 2) AS ahead;
COMMENT ON TABLE chassis.outbox IS
    'Messages of committed transactions, insert-only; column names follow Debezium''s event router.';
COMMENT ON COLUMN chassis.outbox.horizon IS
    'The highest transaction id among the writers of this stream so far: below pg_snapshot_xmin all are finished.';

CREATE TABLE chassis.relay_cursor (
    shard int PRIMARY KEY,
    horizon bigint NOT NULL,
    position bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE chassis.relay_cursor IS 'How far the relay has sent: everything at or before it is acknowledged.';
INSERT INTO chassis.relay_cursor (shard, horizon, position) VALUES (0, 0, 0);

CREATE TABLE chassis.outbox_blocked (
    topic text NOT NULL,
    key text NOT NULL,
    from_sequence bigint NOT NULL,
    reason text NOT NULL,
    whole_topic boolean NOT NULL DEFAULT false,
    blocked_at timestamptz NOT NULL DEFAULT now(),
    tried_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, key)
);
COMMENT ON TABLE chassis.outbox_blocked IS 'Streams of which the broker refused a message: they wait, others do not.';

CREATE TABLE chassis.outbox_resend (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    key text,
    from_sequence bigint,
    to_sequence bigint,
    since timestamptz,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((key IS NOT NULL AND from_sequence IS NOT NULL) OR since IS NOT NULL)
);
COMMENT ON TABLE chassis.outbox_resend IS 'Parts of streams or topics that consumers asked for again.';

CREATE TABLE chassis.inbox_position (
    producer text NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    sequence bigint NOT NULL CHECK (sequence >= 0),
    PRIMARY KEY (producer, topic, key)
) WITH (fillfactor = 80);
COMMENT ON TABLE chassis.inbox_position IS
    'The last applied sequence number of each consumed stream: the whole deduplication.';

CREATE TABLE chassis.inbox_seen (
    source text NOT NULL,
    id text NOT NULL,
    seen_on date NOT NULL DEFAULT current_date,
    PRIMARY KEY (source, id)
);
CREATE INDEX inbox_seen_on ON chassis.inbox_seen (seen_on);
COMMENT ON TABLE chassis.inbox_seen IS 'Ids of messages from outside, which carry no sequence; kept at least 90 days.';

CREATE TABLE chassis.inbox_offset (
    topic text NOT NULL,
    partition int NOT NULL,
    next_offset bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition)
);
COMMENT ON TABLE chassis.inbox_offset IS 'How far each log was read: a log that ends before it has shrunk.';

CREATE TABLE chassis.parked (
    id uuid PRIMARY KEY,
    topic text NOT NULL,
    partition int NOT NULL,
    record_offset bigint NOT NULL,
    key bytea,
    header_names text[] NOT NULL,
    header_values bytea[] NOT NULL,
    value bytea NOT NULL,
    type text NOT NULL,
    producer text,
    stream_key text,
    sequence bigint,
    digest bytea NOT NULL,
    reason text NOT NULL CHECK (reason IN ('invalid', 'refused', 'failed', 'gap', 'waiting')),
    detail text NOT NULL,
    state text NOT NULL CHECK (state IN ('retrying', 'parked', 'replayed', 'discarded')),
    attempts int NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT now(),
    parked_at timestamptz NOT NULL DEFAULT now(),
    decided_by text,
    decided_reason text,
    decided_at timestamptz
);
CREATE UNIQUE INDEX parked_stream ON chassis.parked (producer, topic, stream_key, sequence)
    WHERE sequence IS NOT NULL AND state IN ('retrying', 'parked');
CREATE UNIQUE INDEX parked_record ON chassis.parked (topic, partition, record_offset, digest)
    WHERE sequence IS NULL AND state IN ('retrying', 'parked');
CREATE INDEX parked_due ON chassis.parked (next_try_at) WHERE state = 'retrying';
COMMENT ON TABLE chassis.parked IS
    'Messages that could not be applied: raw bytes, origin, reason, and what an operator decided.';

CREATE TABLE chassis.task (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    effect text NOT NULL,
    key text NOT NULL,
    payload bytea NOT NULL,
    due_at timestamptz NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    last_error text,
    correlationid text NOT NULL,
    causationid text NOT NULL,
    actor text NOT NULL,
    traceparent text,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80);
CREATE INDEX task_due ON chassis.task (effect, due_at, id);
COMMENT ON TABLE chassis.task IS
    'Calls to partners that must happen: due_at is also the lease of a running one, extended by its worker.';

CREATE TABLE chassis.timer (
    timer text NOT NULL,
    key text NOT NULL,
    due_at timestamptz NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    retry_at timestamptz NOT NULL DEFAULT '-infinity',
    correlationid text NOT NULL,
    causationid text NOT NULL,
    actor text NOT NULL,
    traceparent text,
    PRIMARY KEY (timer, key)
);
CREATE INDEX timer_due ON chassis.timer (timer, due_at);
COMMENT ON TABLE chassis.timer IS 'Business deadlines, due by the business clock.';

CREATE TABLE chassis.http_answer (
    principal text NOT NULL,
    route text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status int,
    body json, -- as it was sent: jsonb would change the order of its members
    headers json,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (principal, route, key)
);
CREATE INDEX http_answer_created ON chassis.http_answer (created_at);
COMMENT ON TABLE chassis.http_answer IS 'Answers by Idempotency-Key: the same request gets the same answer.';

-- What a transaction buffers travels as one array of these: encoding an array for each column costs three times as much.
CREATE TYPE chassis.new_message AS (
    id uuid, topic text, key text, type text, payload bytea, behind bigint, correlationid text, causationid text,
    traceparent text, occurred_at timestamptz);
CREATE TYPE chassis.new_task AS (
    effect text, key text, payload bytea, delay interval, correlationid text, causationid text, actor text,
    traceparent text);
CREATE TYPE chassis.new_timer AS (
    timer text, key text, due_at timestamptz, correlationid text, causationid text, actor text, traceparent text);
