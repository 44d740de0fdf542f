CREATE TABLE run (
    run_id uuid PRIMARY KEY,
    trigger text NOT NULL CHECK (trigger IN ('schedule', 'demand')),
    requested_by text NOT NULL,
    status text NOT NULL CHECK (status IN ('running', 'completed', 'failed')),
    started_at timestamptz NOT NULL,
    completed_at timestamptz,
    lines integer NOT NULL DEFAULT 0 CHECK (lines >= 0),
    failure text,
    report jsonb,
    CHECK ((status = 'running') = (completed_at IS NULL)),
    CHECK ((status = 'failed') = (failure IS NOT NULL)),
    CHECK ((status = 'completed') = (report IS NOT NULL))
);
COMMENT ON TABLE run IS 'Reconciliation runs with their reports (RCN-7).';
CREATE UNIQUE INDEX run_only_one_running ON run ((true)) WHERE status = 'running';
CREATE INDEX run_started ON run (started_at);

CREATE TABLE feed (
    feed text PRIMARY KEY,
    cursor text NOT NULL
);
COMMENT ON TABLE feed IS 'How far each settlement feed has been read: the partner''s own cursor. Its row lock serializes runs.';
INSERT INTO feed (feed, cursor) VALUES ('gateway', '');

CREATE TABLE expectation (
    expectation_id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('capture', 'refund')),
    payment_id uuid NOT NULL,
    customer_id text NOT NULL,
    transaction_id text,
    amount_minor bigint NOT NULL CHECK ((kind = 'capture' AND amount_minor >= 0) OR (kind = 'refund' AND amount_minor <= 0)),
    settled_minor bigint NOT NULL DEFAULT 0,
    adjusted_minor bigint NOT NULL DEFAULT 0,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    occurred_at timestamptz NOT NULL,
    CHECK (kind = 'refund' OR expectation_id = payment_id)
);
COMMENT ON TABLE expectation IS 'Captures and refunds that must appear in the feed: open while amount <> settled + adjusted.';
CREATE INDEX expectation_payment ON expectation (payment_id);
CREATE INDEX expectation_open ON expectation (occurred_at) WHERE amount_minor <> settled_minor + adjusted_minor;

CREATE TABLE settlement_line (
    line_id text PRIMARY KEY,
    transaction_id text NOT NULL,
    reference text NOT NULL,
    operation_reference text,
    kind text NOT NULL,
    gross_minor bigint NOT NULL,
    fee_minor bigint NOT NULL,
    net_minor bigint NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    settled_on date NOT NULL,
    payout_id text NOT NULL,
    raw jsonb NOT NULL,
    run_id uuid NOT NULL REFERENCES run,
    received_at timestamptz NOT NULL
);
COMMENT ON TABLE settlement_line IS 'The raw feed as the gateway stated it, each line once (RCN-1, RCN-5).';
CREATE TRIGGER settlement_line_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON settlement_line
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE unmatched_line (
    line_id text PRIMARY KEY REFERENCES settlement_line
);
COMMENT ON TABLE unmatched_line IS 'The work list: lines that are neither matched nor closed by a case''s resolution.';

CREATE TABLE match (
    line_id text PRIMARY KEY REFERENCES settlement_line,
    expectation_id uuid NOT NULL REFERENCES expectation,
    applied_minor bigint NOT NULL,
    run_id uuid NOT NULL REFERENCES run,
    matched_at timestamptz NOT NULL
);
COMMENT ON TABLE match IS 'Which of our captures or refunds a line speaks of, and how much of it counts towards that (RCN-2).';
CREATE INDEX match_expectation ON match (expectation_id);
CREATE INDEX match_run ON match (run_id);
CREATE TRIGGER match_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON match
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What each unmatched line speaks of. Lines belong to a capture by our reference; those of refunds by the
-- refund's own reference, or, where the gateway gives none, in order by their amount. A pair (line, expectation)
-- that passes all comparisons is `matched`; all other lines have the reason why not. The result depends on the
-- set of lines alone, not on pages or order (RCN-5).
CREATE VIEW line_verdict AS
WITH work AS (
    SELECT l.*, CASE WHEN pg_input_is_valid(l.reference, 'uuid') THEN l.reference::uuid END AS our_payment_id,
           CASE WHEN pg_input_is_valid(l.operation_reference, 'uuid') THEN l.operation_reference::uuid END AS our_refund_id
    FROM unmatched_line u JOIN settlement_line l USING (line_id)
), named AS (
    SELECT w.line_id, e.expectation_id FROM work w
    JOIN expectation e ON e.expectation_id = CASE w.kind WHEN 'refund' THEN w.our_refund_id ELSE w.our_payment_id END
    WHERE e.payment_id = w.our_payment_id AND e.kind = CASE w.kind WHEN 'refund' THEN 'refund' ELSE 'capture' END
), unnamed_refund_line AS (
    SELECT line_id, our_payment_id AS payment_id, gross_minor AS amount_minor,
           row_number() OVER (PARTITION BY our_payment_id, gross_minor ORDER BY settled_on, line_id) AS nth
    FROM work w WHERE kind = 'refund' AND NOT EXISTS (SELECT FROM named n WHERE n.line_id = w.line_id)
), unnamed_refund AS (
    SELECT expectation_id, payment_id, amount_minor,
           row_number() OVER (PARTITION BY payment_id, amount_minor ORDER BY occurred_at, expectation_id) AS nth
    FROM expectation e
    WHERE kind = 'refund' AND settled_minor = 0 AND adjusted_minor = 0
      AND payment_id IN (SELECT payment_id FROM unnamed_refund_line)
      AND NOT EXISTS (SELECT FROM named n WHERE n.expectation_id = e.expectation_id)
), addressed AS (
    SELECT line_id, expectation_id FROM named
    UNION ALL
    SELECT line_id, expectation_id FROM unnamed_refund_line JOIN unnamed_refund USING (payment_id, amount_minor, nth)
)
SELECT w.*, e.expectation_id, e.payment_id, e.amount_minor AS expected_minor, e.settled_minor AS settled_before_minor,
    CASE
        WHEN w.kind NOT IN ('capture', 'refund', 'chargeback', 'chargeback_fee') THEN 'unknown_transaction'
        WHEN e.expectation_id IS NULL THEN 'unknown_transaction'
        WHEN e.transaction_id IS NOT NULL AND e.transaction_id <> w.transaction_id THEN 'unknown_transaction'
        WHEN e.currency <> w.currency THEN 'currency_mismatch'
        WHEN w.net_minor <> w.gross_minor - w.fee_minor THEN 'amount_mismatch'
        ELSE 'matched'
    END AS verdict
FROM work w LEFT JOIN addressed USING (line_id) LEFT JOIN expectation e USING (expectation_id);
COMMENT ON VIEW line_verdict IS 'Each unmatched line with the expectation it speaks of, and whether it matches it (RCN-2, RCN-5).';
