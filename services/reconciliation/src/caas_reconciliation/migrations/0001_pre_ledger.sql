CREATE TABLE account (
    code text PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('asset', 'liability', 'income', 'expense'))
);
COMMENT ON TABLE account IS 'The chart of accounts; their meaning is in caas_reconciliation.domain.accounts.';
INSERT INTO account (code, kind) VALUES
    ('receivable', 'asset'),
    ('cash_in_transit', 'asset'),
    ('bank', 'asset'),
    ('customer_advances', 'liability'),
    ('revenue', 'income'),
    ('vat_output', 'liability'),
    ('gateway_fees', 'expense'),
    ('refunds', 'income'),
    ('chargebacks', 'expense'),
    ('write_offs', 'expense'),
    ('adjustments', 'income'),
    ('forfeited_reservations', 'income');

CREATE TABLE fact (
    kind text NOT NULL CHECK (kind IN (
        'purchase_placed', 'payment_captured', 'sale_confirmed', 'capture_failed', 'settlement_failed',
        'payment_refunded', 'chargeback_received', 'invoice_issued', 'credit_note_issued',
        'vehicle_order_placed', 'reservation_invoiced', 'reservation_credited', 'reservation_forfeited'
    )),
    fact_id text NOT NULL,
    payment_id uuid NOT NULL,
    customer_id text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    vat_minor bigint NOT NULL CHECK (vat_minor >= 0 AND vat_minor <= amount_minor),
    advance_minor bigint NOT NULL CHECK (advance_minor >= 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    occurred_at timestamptz NOT NULL,
    transaction_id text,
    message_id text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (kind, fact_id)
);
COMMENT ON TABLE fact IS 'What other services told us, reduced to what the books need; the ledger can be rebuilt from it (RCN-6).';
CREATE INDEX fact_payment ON fact (payment_id, kind);

CREATE TABLE journal_entry (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_kind text NOT NULL,
    source_id text NOT NULL,
    payment_id uuid,
    occurred_at timestamptz NOT NULL,
    message_id text NOT NULL,
    posted_at timestamptz NOT NULL,
    UNIQUE (source_kind, source_id)
);
COMMENT ON TABLE journal_entry IS 'One entry of the double-entry ledger per source, posted once and never changed (RCN-6).';
CREATE INDEX journal_entry_payment ON journal_entry (payment_id);

CREATE TABLE journal_line (
    entry_id bigint NOT NULL REFERENCES journal_entry,
    line_number smallint NOT NULL,
    account text NOT NULL REFERENCES account,
    amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    PRIMARY KEY (entry_id, line_number)
);
COMMENT ON TABLE journal_line IS 'The sides of an entry: debits positive, credits negative; they sum to zero per currency.';

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: correct it with a new row', tg_table_name USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE FUNCTION entry_must_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    lines integer;
    unbalanced boolean;
BEGIN
    SELECT coalesce(sum(n), 0), coalesce(bool_or(total <> 0), false) INTO lines, unbalanced
    FROM (SELECT count(*) AS n, sum(amount_minor) AS total FROM journal_line
          WHERE entry_id = new.entry_id GROUP BY currency) AS per_currency;
    IF lines < 2 OR unbalanced THEN
        RAISE EXCEPTION 'entry % does not balance', new.entry_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

-- Checked at COMMIT, so that an entry and its lines may come in any order of statements.
CREATE CONSTRAINT TRIGGER entry_balances AFTER INSERT ON journal_entry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION entry_must_balance();
CREATE CONSTRAINT TRIGGER line_balances AFTER INSERT ON journal_line
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION entry_must_balance();

CREATE TRIGGER fact_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON fact
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER journal_entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal_entry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER journal_line_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal_line
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
