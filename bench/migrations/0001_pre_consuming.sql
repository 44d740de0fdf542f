CREATE TABLE purchase (
    purchase_id uuid PRIMARY KEY,
    status text NOT NULL,
    version int NOT NULL
) WITH (fillfactor = 80);
COMMENT ON TABLE purchase IS 'The state that both sides change.';

CREATE TABLE bare_seen (
    message_id uuid PRIMARY KEY
);
COMMENT ON TABLE bare_seen IS 'One deduplication row per message, as a bare consumer would keep it.';

CREATE TABLE bare_outbox (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    type text NOT NULL,
    payload bytea NOT NULL,
    traceparent text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE bare_outbox IS 'One outbox row per message, as a bare producer would write it.';
