ALTER TABLE payments ADD COLUMN customer_present boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN payments.customer_present IS 'False for charges that the merchant initiates under a mandate (PAY-9).';

CREATE TABLE customer_actions (
    payment_id uuid PRIMARY KEY REFERENCES payments (id),
    transaction_id text NOT NULL,
    page_url text NOT NULL CHECK (page_url ~ '^https?://'),
    secret_hash bytea NOT NULL UNIQUE CHECK (length(secret_hash) = 32),
    asked_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at > asked_at),
    used_at timestamptz,
    cancelling_at timestamptz,
    CONSTRAINT used_in_time CHECK (used_at < expires_at)
);
COMMENT ON TABLE customer_actions IS
    'Payments whose customer has to confirm them (PAY-9): one each, with a link of ours that works once and expires.';
COMMENT ON COLUMN customer_actions.secret_hash IS 'SHA-256 of the link''s secret, which is kept nowhere.';
COMMENT ON COLUMN customer_actions.cancelling_at IS
    'Since when the gateway is asked to give it up; stored before the first such call. A hold seen later is not believed.';

ALTER TABLE attempt_calls DROP CONSTRAINT attempt_calls_step_check;
ALTER TABLE attempt_calls ADD CONSTRAINT attempt_calls_step_check
    CHECK (step IN ('call', 'look_up', 'hint', 'last_look_up', 'cancel'));

CREATE TYPE new_customer_action AS (
    payment_id uuid, transaction_id text, page_url text, secret_hash bytea, expires_at timestamptz);
