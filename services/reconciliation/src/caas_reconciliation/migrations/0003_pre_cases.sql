CREATE TABLE discrepancy_case (
    case_id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN (
        'delayed', 'partial', 'failed', 'chargeback', 'amount_mismatch', 'currency_mismatch',
        'unknown_transaction', 'missing', 'duplicate'
    )),
    fact_key text NOT NULL,
    payment_id uuid,
    expectation_id uuid REFERENCES expectation,
    line_id text REFERENCES settlement_line,
    difference_minor bigint NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    detail text NOT NULL,
    status text NOT NULL CHECK (status IN ('open', 'waiting', 'resolved')),
    opened_at timestamptz NOT NULL,
    opened_by_run uuid REFERENCES run,
    closed_by_run uuid REFERENCES run,
    assignee text,
    resolution text CHECK (resolution IN ('write_off', 'corrected', 'refunded', 'explained')),
    resolved_by text,
    reason text,
    resolved_at timestamptz,
    closed_net_minor bigint NOT NULL DEFAULT 0,
    closed_fee_minor bigint NOT NULL DEFAULT 0,
    overdue_alerted_at timestamptz,
    UNIQUE (kind, fact_key),
    CHECK ((status = 'resolved') = (resolution IS NOT NULL)),
    CHECK ((status = 'resolved') = (resolved_at IS NOT NULL)),
    CHECK ((status = 'resolved') = (resolved_by IS NOT NULL)),
    CHECK (status = 'open' OR reason IS NOT NULL)
);
COMMENT ON TABLE discrepancy_case IS 'Differences between the feed and our records; the unique fact makes each one case (RCN-4).';
CREATE INDEX discrepancy_case_open ON discrepancy_case (opened_at) WHERE status <> 'resolved';
CREATE INDEX discrepancy_case_payment ON discrepancy_case (payment_id);
CREATE INDEX discrepancy_case_line ON discrepancy_case (line_id) WHERE line_id IS NOT NULL;

CREATE TABLE case_history (
    case_id uuid NOT NULL REFERENCES discrepancy_case,
    at timestamptz NOT NULL,
    action text NOT NULL CHECK (action IN ('opened', 'noted', 'assigned', 'waiting', 'resolved')),
    actor text NOT NULL,
    words text NOT NULL,
    message_id text NOT NULL,
    entry_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);
COMMENT ON TABLE case_history IS 'Who did what to a case and why, append-only (RCN-4).';
CREATE INDEX case_history_case ON case_history (case_id, entry_number);
CREATE TRIGGER case_history_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON case_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE VIEW open_expectation AS
SELECT e.*, e.settled_minor + e.adjusted_minor - e.amount_minor AS difference_minor,
    CASE
        WHEN e.settled_minor = 0 THEN 'delayed'
        WHEN abs(e.settled_minor + e.adjusted_minor) < abs(e.amount_minor) THEN 'partial'
        WHEN EXISTS (SELECT FROM match m JOIN settlement_line l USING (line_id)
                     WHERE m.expectation_id = e.expectation_id AND m.applied_minor <> 0
                     GROUP BY l.gross_minor HAVING count(*) > 1) THEN 'duplicate'
        ELSE 'amount_mismatch'
    END AS kind_now
FROM expectation e WHERE e.amount_minor <> e.settled_minor + e.adjusted_minor;
COMMENT ON VIEW open_expectation IS 'What is wrong with an expectation by what was settled of it; a delay only counts after its time (RCN-3).';
