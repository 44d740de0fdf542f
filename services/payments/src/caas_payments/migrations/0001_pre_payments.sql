CREATE TABLE payments (
    id uuid PRIMARY KEY,
    idempotency_key text NOT NULL UNIQUE,
    purpose text NOT NULL CHECK (purpose IN ('reservation', 'final', 'service', 'subscription')),
    customer_id text NOT NULL,
    subject_id uuid NOT NULL,
    sold boolean NOT NULL GENERATED ALWAYS AS (purpose <> 'service') STORED,
    activation_id uuid UNIQUE,
    vehicle_id text,
    service_code text,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    payment_method text NOT NULL,
    risk_rating text NOT NULL CHECK (risk_rating IN ('none', 'low', 'medium', 'high')),
    delivery_decision text NOT NULL CHECK (delivery_decision IN ('on_authorization', 'after_settlement', 'refuse')),
    delivery_reasons text[] NOT NULL,
    risk_policy_version int NOT NULL CHECK (risk_policy_version > 0),
    status text NOT NULL CHECK (status IN (
        'INITIATED', 'PROCESSING', 'PENDING', 'AUTHORIZED', 'CONFIRMED', 'CAPTURING', 'SETTLED', 'SETTLEMENT_FAILED',
        'REFUNDING', 'REFUNDED', 'VOIDED', 'RETRY', 'FAILED', 'ABANDONED')),
    version int NOT NULL CHECK (version > 0),
    gateway_transaction_id text,
    authorized_at timestamptz,
    capture_before timestamptz,
    activate_not_after timestamptz,
    attempts int NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    cancel_reason text,
    capture_limit_minor bigint CHECK (capture_limit_minor BETWEEN 1 AND amount_minor),
    capturing_minor bigint NOT NULL DEFAULT 0 CHECK (capturing_minor BETWEEN 0 AND amount_minor),
    captured_minor bigint NOT NULL DEFAULT 0 CHECK (captured_minor BETWEEN 0 AND amount_minor),
    charged_back_minor bigint NOT NULL DEFAULT 0 CHECK (charged_back_minor >= 0),
    settled_minor bigint NOT NULL DEFAULT 0 CHECK (settled_minor >= 0),
    refunded_minor bigint NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
    refunding_minor bigint NOT NULL DEFAULT 0 CHECK (refunding_minor >= 0),
    at_risk_minor bigint NOT NULL DEFAULT 0 CHECK (at_risk_minor BETWEEN 0 AND amount_minor),
    delivered_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (id, activation_id),
    UNIQUE (id, sold),
    CONSTRAINT only_a_service_has_an_activation CHECK (CASE WHEN sold THEN activation_id IS NULL
        ELSE num_nulls(activation_id, vehicle_id, service_code) = 0 END),
    CONSTRAINT hold_is_whole CHECK (num_nulls(gateway_transaction_id, authorized_at) IN (0, 2)
        AND num_nulls(capture_before, activate_not_after) = CASE WHEN sold THEN 2 ELSE num_nulls(gateway_transaction_id, authorized_at) END),
    CONSTRAINT only_a_sale_is_confirmed CHECK (sold OR status <> 'CONFIRMED'),
    CONSTRAINT a_sale_is_never_voided CHECK (NOT sold OR status <> 'VOIDED'),
    CONSTRAINT held_states_have_a_hold CHECK (gateway_transaction_id IS NOT NULL OR status IN (
        'INITIATED', 'PROCESSING', 'PENDING', 'RETRY', 'FAILED', 'ABANDONED')),
    CONSTRAINT refunds_never_pass_the_capture CHECK (refunded_minor + refunding_minor <= captured_minor + capturing_minor),
    CONSTRAINT captured_once CHECK (captured_minor = 0 OR capturing_minor = 0),
    CONSTRAINT a_sale_is_taken_whole CHECK (NOT sold OR (capture_limit_minor IS NULL AND capturing_minor = 0))
) WITH (fillfactor = 70);
CREATE INDEX payments_subject ON payments (subject_id);
CREATE INDEX payments_transaction ON payments (gateway_transaction_id);
CREATE INDEX payments_exposed ON payments (delivered_at) WHERE at_risk_minor > 0 AND delivered_at IS NOT NULL;
CREATE INDEX payments_at_risk ON payments (customer_id)
    WHERE at_risk_minor > 0 OR status = 'SETTLEMENT_FAILED';
COMMENT ON TABLE payments IS 'One movement of money each (PAY-1); status and version are changed by compare-and-set.';
COMMENT ON COLUMN payments.payment_method IS 'The gateway''s token, never a card number (GW-6).';
COMMENT ON COLUMN payments.capture_limit_minor IS 'What a capture takes, when a person said less than the hold.';
COMMENT ON COLUMN payments.capturing_minor IS 'What the open capture takes: a refund may be asked for meanwhile (PAY-8).';
COMMENT ON COLUMN payments.charged_back_minor IS 'What the customer''s bank took back: it cannot be refunded, too (PAY-8).';
COMMENT ON COLUMN payments.at_risk_minor IS 'What may still be lost: under way or delivered, and not settled (RSK-3).';
COMMENT ON COLUMN payments.sold IS 'Paid by a sale; a service never is, because its activation must succeed first (SVC-6).';
COMMENT ON COLUMN payments.activation_id IS 'The only activation whose success may be charged: one payment each (SVC-6).';

CREATE TABLE delivery_proofs (
    id uuid PRIMARY KEY,
    payment_id uuid NOT NULL,
    activation_id uuid NOT NULL UNIQUE,
    kind text NOT NULL CHECK (kind IN ('success', 'rejection', 'cancellation', 'deadline')),
    ground text CHECK (ground IN (
        'activation_never_requested', 'verified_rejection', 'verified_cancellation', 'deadline_passed')),
    reason text NOT NULL,
    applied_at timestamptz,
    evidence text NOT NULL DEFAULT '',
    recorded_at timestamptz NOT NULL,
    UNIQUE (id, kind, payment_id),
    FOREIGN KEY (payment_id, activation_id) REFERENCES payments (id, activation_id),
    CONSTRAINT success_has_evidence CHECK (kind <> 'success' OR (applied_at IS NOT NULL AND evidence <> '')),
    CONSTRAINT only_failure_has_a_ground CHECK ((kind = 'success') = (ground IS NULL))
);
COMMENT ON TABLE delivery_proofs IS
    'The verdict on each activation (charge fence): the first that is stored stands, there is no second.';

CREATE TABLE attempts (
    payment_id uuid NOT NULL REFERENCES payments (id),
    number int NOT NULL CHECK (number > 0),
    operation text NOT NULL CHECK (operation IN ('authorize', 'sale', 'capture', 'void', 'refund')),
    sold boolean GENERATED ALWAYS AS (CASE operation WHEN 'sale' THEN true WHEN 'refund' THEN NULL ELSE false END) STORED,
    idempotency_key text NOT NULL GENERATED ALWAYS AS (payment_id::text || ':' || operation || ':' || number::text) STORED,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    state text NOT NULL CHECK (state IN ('open', 'succeeded', 'refused', 'abandoned')),
    proof_id uuid,
    proof_kind text,
    refund_id uuid,
    calls int NOT NULL DEFAULT 0,
    misses int NOT NULL DEFAULT 0,
    silences int NOT NULL DEFAULT 0,
    alerted boolean NOT NULL DEFAULT false,
    last_result text NOT NULL DEFAULT '',
    opened_at timestamptz NOT NULL,
    resolved_at timestamptz,
    uncertain boolean NOT NULL DEFAULT false,
    called_at timestamptz,
    frozen_at timestamptz,
    PRIMARY KEY (payment_id, number),
    CONSTRAINT a_service_is_never_sold FOREIGN KEY (payment_id, sold) REFERENCES payments (id, sold),
    FOREIGN KEY (proof_id, proof_kind, payment_id) REFERENCES delivery_proofs (id, kind, payment_id),
    CONSTRAINT charge_fence CHECK (CASE operation
        WHEN 'capture' THEN proof_id IS NOT NULL AND proof_kind IS NOT NULL AND proof_kind = 'success'
        WHEN 'void' THEN proof_id IS NOT NULL AND proof_kind IS NOT NULL AND proof_kind <> 'success'
        ELSE proof_id IS NULL AND proof_kind IS NULL END),
    CONSTRAINT refunds_are_named CHECK ((operation = 'refund') = (refund_id IS NOT NULL)),
    CONSTRAINT closed_is_resolved CHECK ((state = 'open') = (resolved_at IS NULL))
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX attempts_one_open ON attempts (payment_id) WHERE state = 'open';
CREATE UNIQUE INDEX attempts_capture_or_void ON attempts (payment_id)
    WHERE operation IN ('capture', 'void') AND state IN ('open', 'succeeded');
COMMENT ON COLUMN attempts.sold IS
    'By the foreign key a sale belongs to a payment that is sold; a hold, capture or void to one of a service (SVC-6).';
COMMENT ON TABLE attempts IS
    'Operations asked of the gateway, one open per payment, each under one idempotency key that is stored before the call.';

COMMENT ON COLUMN attempts.uncertain IS 'One of its calls may have reached the gateway (GW-4).';
COMMENT ON COLUMN attempts.frozen_at IS 'Since when its outcome waits for the truth or for a person; see cases.';

CREATE TABLE attempt_calls (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id uuid NOT NULL REFERENCES payments (id),
    number int NOT NULL,
    at timestamptz NOT NULL,
    step text NOT NULL CHECK (step IN ('call', 'look_up', 'hint')),
    result text NOT NULL,
    retry_in_ms bigint
);
CREATE INDEX attempt_calls_payment ON attempt_calls (payment_id, id);
COMMENT ON TABLE attempt_calls IS
    'Every question to the gateway, what it came to, and the pause before the next (GW-2); append-only. Number 0: no open attempt.';

CREATE TABLE cases (
    id uuid PRIMARY KEY,
    payment_id uuid NOT NULL,
    number int NOT NULL,
    reason text NOT NULL,
    opened_at timestamptz NOT NULL,
    resolved_at timestamptz,
    resolution text,
    note text NOT NULL DEFAULT '',
    actor text NOT NULL DEFAULT '',
    FOREIGN KEY (payment_id, number) REFERENCES attempts (payment_id, number),
    CONSTRAINT resolved_is_explained CHECK ((resolved_at IS NULL) = (resolution IS NULL))
);
CREATE UNIQUE INDEX cases_one_open ON cases (payment_id) WHERE resolved_at IS NULL;
CREATE INDEX cases_attempt ON cases (payment_id, number);
COMMENT ON TABLE cases IS 'Frozen attempts, whose outcome nobody knows (GW-4): open until the truth is found or a person rules.';

CREATE TABLE captures (
    payment_id uuid PRIMARY KEY,
    proof_id uuid NOT NULL,
    proof_kind text NOT NULL DEFAULT 'success' CHECK (proof_kind = 'success'),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    captured_at timestamptz NOT NULL,
    FOREIGN KEY (proof_id, proof_kind, payment_id) REFERENCES delivery_proofs (id, kind, payment_id)
);
COMMENT ON TABLE captures IS 'Money taken, each on the proof that its very activation succeeded (SVC-6).';

CREATE TABLE refunds (
    id uuid PRIMARY KEY,
    payment_id uuid NOT NULL REFERENCES payments (id),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    reason text NOT NULL,
    state text NOT NULL CHECK (state IN ('requested', 'succeeded', 'refused')),
    requested_at timestamptz NOT NULL,
    resolved_at timestamptz,
    CONSTRAINT decided_is_resolved CHECK ((state = 'requested') = (resolved_at IS NULL))
);
CREATE INDEX refunds_payment ON refunds (payment_id, requested_at);
COMMENT ON TABLE refunds IS 'Money to give back (PAY-8); requested ones wait for the gateway one behind the other.';

CREATE TABLE settlement_lines (
    id text PRIMARY KEY,
    payment_id uuid NOT NULL REFERENCES payments (id),
    gross_minor bigint NOT NULL CHECK (gross_minor >= 0),
    fee_minor bigint NOT NULL CHECK (fee_minor >= 0),
    currency text NOT NULL,
    settled_on date NOT NULL,
    recorded_at timestamptz NOT NULL
);
CREATE INDEX settlement_lines_payment ON settlement_lines (payment_id);
COMMENT ON TABLE settlement_lines IS 'What the settlement feed explained of each payment, each line once (RCN-2).';

CREATE TABLE chargebacks (
    id text PRIMARY KEY,
    payment_id uuid NOT NULL REFERENCES payments (id),
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    reason text NOT NULL,
    received_at timestamptz NOT NULL
);
CREATE INDEX chargebacks_payment ON chargebacks (payment_id);
COMMENT ON TABLE chargebacks IS 'Captured money that a customer''s bank took back, each once.';

CREATE TABLE webhooks (
    id text PRIMARY KEY,
    event_type text NOT NULL,
    transaction_id text NOT NULL,
    reference text NOT NULL,
    body text NOT NULL,
    proof json NOT NULL,
    correlation_id uuid NOT NULL,
    received_at timestamptz NOT NULL
);
CREATE INDEX webhooks_received ON webhooks (received_at, id);
CREATE INDEX webhooks_transaction ON webhooks (transaction_id, received_at);
CREATE INDEX webhooks_reference ON webhooks (reference, received_at);
COMMENT ON TABLE webhooks IS 'Verified webhooks of the gateway by webhook-id, stored before they are answered (GW-5).';
COMMENT ON COLUMN webhooks.body IS 'The verified text itself, byte for byte.';
COMMENT ON COLUMN webhooks.proof IS 'The headers that were verified: with them and the secret the body can be verified again.';
COMMENT ON COLUMN webhooks.correlation_id IS 'The story that begins with it: the message in the outbox and all that followed.';

CREATE TABLE webhook_reprocessings (
    id uuid PRIMARY KEY,
    webhook_id text NOT NULL REFERENCES webhooks (id),
    requested_by text NOT NULL,
    reason text NOT NULL,
    correlation_id uuid NOT NULL,
    requested_at timestamptz NOT NULL
);
CREATE INDEX webhook_reprocessings_webhook ON webhook_reprocessings (webhook_id, requested_at);
COMMENT ON TABLE webhook_reprocessings IS 'Who had which webhook followed again, and why; append-only.';

CREATE TABLE audit_log (
    sequence bigint PRIMARY KEY CHECK (sequence > 0),
    payment_id uuid NOT NULL,
    at timestamptz NOT NULL,
    kind text NOT NULL CHECK (kind IN ('transition', 'rejection', 'ruling')),
    source text NOT NULL,
    target text NOT NULL,
    reason text NOT NULL,
    cause_id text NOT NULL,
    correlation_id text NOT NULL,
    actor text NOT NULL,
    previous bytea NOT NULL,
    hash bytea NOT NULL
);
CREATE INDEX audit_log_payment ON audit_log (payment_id, sequence);
COMMENT ON TABLE audit_log IS 'Every transition and every refused one (PAY-4); append-only, each row seals the one before it.';

CREATE TABLE audit_head (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    sequence bigint NOT NULL,
    hash bytea NOT NULL,
    anchored_sequence bigint NOT NULL DEFAULT 0 CHECK (anchored_sequence <= sequence)
);
COMMENT ON COLUMN audit_head.anchored_sequence IS 'The newest entry that was published as an anchor.';
INSERT INTO audit_head (sequence, hash) VALUES (0, decode(repeat('00', 32), 'hex'));
COMMENT ON TABLE audit_head IS 'The end of the audit chain; its lock puts concurrent writers in order.';

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER audit_log_rows BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_log_table BEFORE TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER delivery_proofs_rows BEFORE UPDATE OR DELETE ON delivery_proofs FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER attempt_calls_rows BEFORE UPDATE OR DELETE ON attempt_calls FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER webhook_reprocessings_rows BEFORE UPDATE OR DELETE ON webhook_reprocessings
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER captures_rows BEFORE UPDATE OR DELETE ON captures FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- What a batch writes travels as one array of these. They are types of their own, not the tables' row types, so that
-- code of the version before keeps working when a table gets another column.
CREATE TYPE new_payment AS (
    id uuid, idempotency_key text, purpose text, customer_id text, subject_id uuid, activation_id uuid, vehicle_id text,
    service_code text, amount_minor bigint, currency text, payment_method text, risk_rating text, delivery_decision text,
    delivery_reasons text[], risk_policy_version int, status text, attempts int, at_risk_minor bigint);
CREATE TYPE changed_payment AS (
    id uuid, version int, status text, gateway_transaction_id text, authorized_at timestamptz, capture_before timestamptz,
    activate_not_after timestamptz, attempts int, cancel_reason text, capture_limit_minor bigint, capturing_minor bigint,
    captured_minor bigint, charged_back_minor bigint, settled_minor bigint, refunded_minor bigint, refunding_minor bigint, at_risk_minor bigint, delivered_at timestamptz);
CREATE TYPE new_proof AS (
    id uuid, payment_id uuid, activation_id uuid, kind text, ground text, reason text, applied_at timestamptz,
    evidence text, recorded_at timestamptz);
CREATE TYPE new_attempt AS (
    payment_id uuid, number int, operation text, amount_minor bigint, state text, proof_id uuid, refund_id uuid,
    calls int, misses int, silences int, alerted boolean, last_result text, opened_at timestamptz, resolved_at timestamptz);
CREATE TYPE changed_attempt AS (
    payment_id uuid, number int, state text, calls int, misses int, silences int, alerted boolean, last_result text,
    resolved_at timestamptz, uncertain boolean, called_at timestamptz, frozen_at timestamptz);
CREATE TYPE new_attempt_call AS (payment_id uuid, number int, step text, result text, retry_in_ms bigint);
CREATE TYPE new_case AS (id uuid, payment_id uuid, number int, reason text);
CREATE TYPE closed_case AS (payment_id uuid, number int, resolution text, actor text);
CREATE TYPE new_capture AS (payment_id uuid, proof_id uuid, amount_minor bigint);
CREATE TYPE new_audit_entry AS (
    sequence bigint, payment_id uuid, at timestamptz, kind text, source text, target text, reason text, cause_id text,
    correlation_id text, actor text, previous bytea, hash bytea);
