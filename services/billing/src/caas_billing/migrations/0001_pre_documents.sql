CREATE TABLE billable_purchase (
    payment_id uuid PRIMARY KEY,
    -- From PurchasePlaced; all null until it arrives.
    purchase_id uuid UNIQUE,
    customer_id text,
    customer_name text,
    customer_email text,
    customer_tax_id text,
    customer_language text,
    vehicle_id text,
    service_code text,
    service_name text,
    purchase_kind text CHECK (purchase_kind IN ('temporary', 'permanent')),
    duration_days integer CHECK (duration_days > 0),
    vat_rate_bp integer CHECK (vat_rate_bp BETWEEN 0 AND 10000),
    -- From PaymentCaptured; all null until it arrives.
    captured_minor bigint CHECK (captured_minor >= 0),
    currency text CHECK (currency ~ '^[A-Z]{3}$'),
    supplied_at timestamptz,
    refunded_minor bigint NOT NULL DEFAULT 0,
    CONSTRAINT purchase_is_whole CHECK (
        num_nulls(purchase_id, customer_id, customer_name, customer_email, customer_language, vehicle_id,
            service_code, service_name, purchase_kind, vat_rate_bp) IN (0, 10)),
    CONSTRAINT capture_is_whole CHECK (num_nulls(captured_minor, currency, supplied_at) IN (0, 3)),
    -- PAY-8: what is given back never passes what was captured.
    CONSTRAINT refunds_within_capture CHECK (refunded_minor BETWEEN 0 AND coalesce(captured_minor, 0))
);
COMMENT ON TABLE billable_purchase IS
    'A purchase and its captured payment, joined in whichever order the two facts arrive. Complete rows are invoiced once.';

CREATE TABLE series (
    series text NOT NULL CHECK (series IN ('S', 'R')),
    year integer NOT NULL CHECK (year BETWEEN 2000 AND 9999),
    last_position integer NOT NULL CHECK (last_position > 0),
    last_issued_at timestamptz NOT NULL,
    PRIMARY KEY (series, year)
);
COMMENT ON TABLE series IS
    'The last number given of every series and year (INV-2). Its row is locked from numbering to commit: no gaps, no doubles.';

CREATE TABLE invoice (
    invoice_id uuid PRIMARY KEY,
    series text NOT NULL CHECK (series = 'S'),
    year integer NOT NULL,
    position integer NOT NULL CHECK (position > 0),
    number text NOT NULL UNIQUE CHECK (number = format('%s-%s-%s', series, year, lpad(position::text, greatest(6, length(position::text)), '0'))),
    kind text NOT NULL CHECK (kind = 'service'),
    payment_id uuid NOT NULL UNIQUE REFERENCES billable_purchase,
    purchase_id uuid NOT NULL,
    customer_id text NOT NULL,
    customer_name text NOT NULL,
    customer_email text NOT NULL,
    customer_tax_id text,
    language text NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    base_minor bigint NOT NULL CHECK (base_minor >= 0),
    vat_minor bigint NOT NULL CHECK (vat_minor >= 0),
    total_minor bigint NOT NULL,
    supplied_at timestamptz NOT NULL,
    issued_at timestamptz NOT NULL,
    UNIQUE (series, year, position),
    CONSTRAINT amounts_add_up CHECK (base_minor + vat_minor = total_minor),
    CONSTRAINT year_is_of_issue CHECK (year = extract(year FROM issued_at AT TIME ZONE 'Europe/Madrid')),
    FOREIGN KEY (series, year) REFERENCES series
);
CREATE INDEX invoice_of_customer ON invoice (customer_id, invoice_id);
CREATE INDEX invoice_of_purchase ON invoice (purchase_id);
COMMENT ON TABLE invoice IS 'Issued invoices: never changed, never deleted (INV-3); one per captured payment.';

CREATE TABLE invoice_line (
    invoice_id uuid NOT NULL REFERENCES invoice,
    line integer NOT NULL CHECK (line > 0),
    service_code text NOT NULL,
    service_name text NOT NULL,
    vehicle_id text NOT NULL,
    purchase_kind text NOT NULL CHECK (purchase_kind IN ('temporary', 'permanent')),
    duration_days integer CHECK (duration_days > 0),
    vat_rate_bp integer NOT NULL CHECK (vat_rate_bp BETWEEN 0 AND 10000),
    base_minor bigint NOT NULL CHECK (base_minor >= 0),
    vat_minor bigint NOT NULL CHECK (vat_minor >= 0),
    total_minor bigint NOT NULL,
    PRIMARY KEY (invoice_id, line),
    CONSTRAINT amounts_add_up CHECK (base_minor + vat_minor = total_minor)
);
COMMENT ON TABLE invoice_line IS 'What an invoice charges for, each line with its VAT rate: never changed, never deleted (INV-3).';

CREATE TABLE refund (
    refund_id uuid PRIMARY KEY,
    payment_id uuid NOT NULL REFERENCES billable_purchase,
    refunded_minor bigint NOT NULL CHECK (refunded_minor > 0),
    refunded_before_minor bigint NOT NULL CHECK (refunded_before_minor >= 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    reason text NOT NULL,
    refunded_at timestamptz NOT NULL,
    UNIQUE (payment_id, refunded_before_minor)
);
COMMENT ON TABLE refund IS
    'Money given back, in order per payment; each gets a credit note as soon as the invoice of its payment exists.';

CREATE TABLE credit_note (
    credit_note_id uuid PRIMARY KEY,
    series text NOT NULL CHECK (series = 'R'),
    year integer NOT NULL,
    position integer NOT NULL CHECK (position > 0),
    number text NOT NULL UNIQUE CHECK (number = format('%s-%s-%s', series, year, lpad(position::text, greatest(6, length(position::text)), '0'))),
    invoice_id uuid NOT NULL REFERENCES invoice,
    refund_id uuid NOT NULL UNIQUE REFERENCES refund,
    reason text NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    vat_rate_bp integer NOT NULL CHECK (vat_rate_bp BETWEEN 0 AND 10000),
    base_minor bigint NOT NULL CHECK (base_minor >= 0),
    vat_minor bigint NOT NULL CHECK (vat_minor >= 0),
    total_minor bigint NOT NULL CHECK (total_minor > 0),
    issued_at timestamptz NOT NULL,
    UNIQUE (series, year, position),
    CONSTRAINT amounts_add_up CHECK (base_minor + vat_minor = total_minor),
    CONSTRAINT year_is_of_issue CHECK (year = extract(year FROM issued_at AT TIME ZONE 'Europe/Madrid')),
    FOREIGN KEY (series, year) REFERENCES series
);
CREATE INDEX credit_note_of_invoice ON credit_note (invoice_id);
COMMENT ON TABLE credit_note IS
    'Issued credit notes: each corrects one invoice by one refund; never changed, never deleted (INV-3).';

CREATE TABLE document (
    document_id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('invoice', 'credit_note')),
    pdf bytea NOT NULL CHECK (substring(pdf FROM 1 FOR 5) = '%PDF-'::bytea),
    sha256 bytea NOT NULL CHECK (sha256 = sha256(pdf)),
    rendered_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE document ALTER COLUMN pdf SET STORAGE EXTERNAL;
COMMENT ON TABLE document IS
    'The PDF of an invoice or credit note, named by its id: rendered once, never changed (INV-4). Not compressed again.';

CREATE TABLE mailing (
    document_id uuid PRIMARY KEY REFERENCES document,
    status text NOT NULL CHECK (status IN ('waiting', 'sent', 'refused', 'given_up')),
    attempts integer NOT NULL CHECK (attempts >= 0),
    last_answer text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX mailing_not_sent ON mailing (changed_at) WHERE status <> 'sent';
COMMENT ON TABLE mailing IS 'The e-mail that carries a document, once (NOT-1): its state and the mail server''s last answer.';

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % refused: issued documents never change, correct them with a credit note (INV-3)',
        tg_op, tg_table_name USING ERRCODE = 'restrict_violation';
END $$;

DO $$
DECLARE
    protected text;
BEGIN
    FOREACH protected IN ARRAY ARRAY['invoice', 'invoice_line', 'refund', 'credit_note', 'document'] LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()',
            protected || '_is_immutable', protected);
    END LOOP;
END $$;

CREATE FUNCTION refuse_going_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF tg_op <> 'UPDATE' OR new.last_position <= old.last_position OR new.last_issued_at < old.last_issued_at THEN
        RAISE EXCEPTION '% of series refused: numbers are given once and rise with their dates (INV-2)', tg_op
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER series_only_rises BEFORE UPDATE OR DELETE ON series FOR EACH ROW EXECUTE FUNCTION refuse_going_back();
CREATE TRIGGER series_is_kept BEFORE TRUNCATE ON series FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- As the owner: the serving role may lock no invoice, because it may change none.
CREATE FUNCTION refuse_excess_credit() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    invoiced bigint;
    credited bigint;
BEGIN
    SELECT total_minor INTO invoiced FROM invoice WHERE invoice_id = new.invoice_id FOR UPDATE;
    SELECT sum(total_minor) INTO credited FROM credit_note WHERE invoice_id = new.invoice_id;
    IF credited > invoiced THEN
        RAISE EXCEPTION 'credit notes of invoice % would sum to %, more than its total %', new.invoice_id, credited, invoiced
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER credit_note_within_invoice AFTER INSERT ON credit_note
    FOR EACH ROW EXECUTE FUNCTION refuse_excess_credit();
