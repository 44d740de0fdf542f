CREATE TABLE rate_plan (
    plan_code text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    kind text NOT NULL CHECK (kind IN ('per_use', 'per_day_used', 'flat_monthly', 'tiered')),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    unit text,
    -- Minor units per unit, day or month, VAT included; null for tiered plans.
    rate numeric(18, 6) CHECK (rate >= 0),
    effective_from date NOT NULL CHECK (effective_from = date_trunc('month', effective_from)),
    PRIMARY KEY (plan_code, version),
    CONSTRAINT only_tiers_have_no_rate CHECK ((kind = 'tiered') = (rate IS NULL))
);
COMMENT ON TABLE rate_plan IS 'Versions of rate plans (SUB-3): a period is rated by the newest version in force at its first instant.';

CREATE TABLE rate_tier (
    plan_code text NOT NULL,
    version integer NOT NULL,
    tier integer NOT NULL CHECK (tier > 0),
    above numeric(18, 6) NOT NULL CHECK (above >= 0),
    up_to numeric(18, 6) CHECK (up_to > above),
    rate numeric(18, 6) NOT NULL CHECK (rate >= 0),
    PRIMARY KEY (plan_code, version, tier),
    FOREIGN KEY (plan_code, version) REFERENCES rate_plan
);
COMMENT ON TABLE rate_tier IS 'The steps of tiered plans: each prices the quantity above `above` and up to `up_to`.';

CREATE TABLE subscription (
    subscription_id uuid PRIMARY KEY,
    customer_id text NOT NULL,
    customer_name text NOT NULL,
    customer_email text NOT NULL,
    customer_tax_id text,
    customer_language text NOT NULL,
    vehicle_id text NOT NULL,
    service_code text NOT NULL,
    service_name text NOT NULL,
    plan_code text NOT NULL,
    plan_version integer NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    vat_rate_bp integer NOT NULL CHECK (vat_rate_bp BETWEEN 0 AND 10000),
    activation_id uuid NOT NULL,
    started_at timestamptz NOT NULL,
    FOREIGN KEY (plan_code, plan_version) REFERENCES rate_plan
);
CREATE INDEX subscription_of_vehicle ON subscription (vehicle_id, service_code);
CREATE INDEX subscription_of_customer ON subscription (customer_id, subscription_id);
COMMENT ON TABLE subscription IS 'The terms of subscriptions, as agreed: never changed. What changes is in subscription_standing.';

CREATE TABLE subscription_standing (
    subscription_id uuid PRIMARY KEY REFERENCES subscription,
    -- The last byte of the id: what is billed together, and locked together against late usage.
    shard smallint NOT NULL CHECK (shard BETWEEN 0 AND 255),
    status text NOT NULL CHECK (status IN ('active', 'billing', 'payment_processing', 'paid', 'retry',
        'cancelled_nonpayment', 'cancelled_customer')),
    -- The first day of the first period that is not closed; null when none will follow.
    next_period date CHECK (next_period = date_trunc('month', next_period)),
    -- When the service ended for the customer; use from then on is not charged (SUB-7).
    ended_at timestamptz,
    payment_method text NOT NULL,
    -- The gateway refused the method for good: another one is needed before it is charged again (SUB-6).
    method_refused boolean NOT NULL DEFAULT false,
    changed_at timestamptz NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX subscription_due ON subscription_standing (shard, next_period) WHERE next_period IS NOT NULL;
COMMENT ON TABLE subscription_standing IS 'Where each subscription stands (SUB-1), and which period is billed next (SUB-4).';

CREATE TABLE subscription_cancellation (
    subscription_id uuid PRIMARY KEY,
    cancelled_at timestamptz NOT NULL
);
COMMENT ON TABLE subscription_cancellation IS
    'When customers gave subscriptions up (SUB-7): kept also when it is heard of before the subscription itself.';

CREATE TABLE usage_event (
    subscription_id uuid NOT NULL,
    usage_id uuid NOT NULL,
    -- The period it is billed in: that of its day, or the first open one when that was closed before it came (SUB-2).
    period date NOT NULL,
    -- Its calendar day in the billing time zone.
    used_on date NOT NULL,
    occurred_at timestamptz NOT NULL,
    quantity numeric(18, 6) NOT NULL CHECK (quantity >= 0),
    PRIMARY KEY (subscription_id, usage_id)
);
COMMENT ON TABLE usage_event IS
    'Use that is billed, once per id for ever (SUB-2): the lines of an invoice count the rows of its subscription and period.';

CREATE TABLE uncharged_usage (
    subscription_id uuid NOT NULL,
    usage_id uuid NOT NULL,
    reason text NOT NULL CHECK (reason IN ('after_end', 'before_start', 'no_period_left')),
    occurred_at timestamptz NOT NULL,
    quantity numeric(18, 6) NOT NULL CHECK (quantity >= 0),
    received_at timestamptz NOT NULL,
    PRIMARY KEY (subscription_id, usage_id)
);
COMMENT ON TABLE uncharged_usage IS 'Use that nobody pays, and why (SUB-7): kept, so that nothing is dropped silently.';

ALTER TABLE series DROP CONSTRAINT series_series_check,
    ADD CONSTRAINT series_is_known CHECK (series IN ('S', 'A', 'V', 'M', 'R'));
ALTER TABLE invoice DROP CONSTRAINT kind_has_its_series,
    ADD CONSTRAINT kind_has_its_series CHECK
        ((kind, series) IN (('service', 'S'), ('reservation', 'A'), ('final', 'V'), ('subscription', 'M')));
ALTER TABLE invoice_line DROP CONSTRAINT invoice_line_concept_check,
    ADD CONSTRAINT concept_is_known CHECK (concept IN ('service', 'reservation', 'vehicle', 'deduction', 'subscription'));

CREATE TABLE usage_line (
    invoice_id uuid NOT NULL REFERENCES invoice,
    line integer NOT NULL CHECK (line > 0),
    kind text NOT NULL CHECK (kind IN ('per_use', 'per_day_used', 'flat_monthly', 'tiered')),
    plan_code text NOT NULL,
    plan_version integer NOT NULL,
    tier integer,
    -- The month of the use; earlier than the invoice's for late usage, which has lines of its own (SUB-2).
    used_in date NOT NULL,
    unit text,
    quantity numeric(18, 6) NOT NULL CHECK (quantity >= 0),
    rate numeric(18, 6) NOT NULL CHECK (rate >= 0),
    -- Days with use that were not billed before (per_day_used), or days of the month that the subscription ran
    -- (flat_monthly), and all of its days.
    days integer CHECK (days >= 0),
    days_in_month integer CHECK (days_in_month BETWEEN 28 AND 31),
    -- The uses that the line is reckoned from; the steps of one tiered month share theirs.
    usage_events bigint NOT NULL CHECK (usage_events >= 0),
    -- quantity x rate, rounded once (SUB-3), VAT included.
    total_minor bigint NOT NULL CHECK (total_minor >= 0),
    PRIMARY KEY (invoice_id, line)
);
COMMENT ON TABLE usage_line IS
    'How the one line of a monthly invoice was reckoned: its rows sum to that line. Never changed (INV-3).';

CREATE TABLE billing_run (
    run_id uuid PRIMARY KEY,
    period date NOT NULL CHECK (period = date_trunc('month', period)),
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL,
    finished_at timestamptz
);
CREATE UNIQUE INDEX billing_run_open ON billing_run (period) WHERE finished_at IS NULL;
COMMENT ON TABLE billing_run IS 'A wish to close a period (SUB-8); whoever finds it open works on it, chunk by chunk.';

CREATE TABLE period_close (
    subscription_id uuid NOT NULL REFERENCES subscription,
    period date NOT NULL,
    run_id uuid NOT NULL REFERENCES billing_run,
    -- Null when nothing was owed (SUB-5).
    invoice_id uuid UNIQUE REFERENCES invoice,
    total_minor bigint NOT NULL CHECK (total_minor >= 0),
    closed_at timestamptz NOT NULL,
    PRIMARY KEY (subscription_id, period),
    CONSTRAINT zero_has_no_invoice CHECK ((total_minor = 0) = (invoice_id IS NULL))
);
CREATE INDEX period_close_of_run ON period_close (run_id);
COMMENT ON TABLE period_close IS 'Each subscription is billed exactly once per period: this key says so (SUB-4).';

CREATE TABLE receivable (
    invoice_id uuid PRIMARY KEY REFERENCES invoice,
    subscription_id uuid NOT NULL REFERENCES subscription,
    period date NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    due_on date NOT NULL,
    status text NOT NULL CHECK (status IN ('processing', 'needs_customer', 'retry', 'paid', 'unpaid')),
    -- How many attempts were made or given up for want of a method (SUB-6).
    attempts integer NOT NULL CHECK (attempts > 0),
    -- How many of them count: steps of the schedule that failed, from the first failure on. Technical failures and
    -- what the customer tried in between do not.
    failures integer NOT NULL DEFAULT 0 CHECK (failures BETWEEN 0 AND attempts),
    first_failed_at timestamptz,
    next_attempt_at timestamptz,
    changed_at timestamptz NOT NULL,
    CONSTRAINT failures_have_a_first CHECK ((failures = 0) = (first_failed_at IS NULL)),
    CONSTRAINT only_retries_are_dated CHECK ((status = 'retry') = (next_attempt_at IS NOT NULL))
) WITH (fillfactor = 70);
CREATE INDEX receivable_of_subscription ON receivable (subscription_id);
COMMENT ON TABLE receivable IS 'What a monthly invoice still has to bring: charged, retried on a schedule, paid, or given to collections.';

CREATE TABLE charge_attempt (
    invoice_id uuid NOT NULL REFERENCES receivable,
    attempt integer NOT NULL CHECK (attempt > 0),
    -- Null when the gateway was not asked, for want of a usable method; else what is charged.
    payment_id uuid UNIQUE,
    payment_method text,
    asked_by text NOT NULL DEFAULT 'schedule' CHECK (asked_by IN ('schedule', 'bank', 'customer')),
    asked_at timestamptz NOT NULL,
    PRIMARY KEY (invoice_id, attempt),
    CONSTRAINT payment_has_its_method CHECK (num_nulls(payment_id, payment_method) IN (0, 2))
);
COMMENT ON TABLE charge_attempt IS 'Each attempt at an invoice is a payment of its own (PAY-3); written before it is asked for.';

CREATE TABLE charge_outcome (
    invoice_id uuid NOT NULL,
    attempt integer NOT NULL,
    -- `surplus`: its money came when the invoice was paid already, and is given back.
    outcome text NOT NULL CHECK (outcome IN ('paid', 'surplus', 'failed', 'abandoned', 'not_asked')),
    reason text NOT NULL,
    known_at timestamptz NOT NULL,
    PRIMARY KEY (invoice_id, attempt, outcome),
    FOREIGN KEY (invoice_id, attempt) REFERENCES charge_attempt
);
CREATE UNIQUE INDEX charge_outcome_paid_once ON charge_outcome (invoice_id) WHERE outcome = 'paid';
COMMENT ON TABLE charge_outcome IS
    'What became of each attempt. One that failed can be confirmed afterwards; an invoice is paid by one of them at most.';

CREATE TABLE charge_action (
    invoice_id uuid NOT NULL,
    attempt integer NOT NULL,
    action_url text NOT NULL,
    expires_at timestamptz NOT NULL,
    asked_at timestamptz NOT NULL,
    PRIMARY KEY (invoice_id, attempt),
    FOREIGN KEY (invoice_id, attempt) REFERENCES charge_attempt
);
COMMENT ON TABLE charge_action IS 'Attempts for which the bank wants to hear from the customer (PAY-9), with the link, which works once.';

CREATE TABLE collection (
    collection_id uuid PRIMARY KEY,
    invoice_id uuid NOT NULL UNIQUE REFERENCES receivable,
    opened_at timestamptz NOT NULL,
    settled_at timestamptz,
    settled_payment_id uuid,
    CONSTRAINT settled_is_whole CHECK (num_nulls(settled_at, settled_payment_id) IN (0, 2))
);
COMMENT ON TABLE collection IS 'Unpaid invoices that were given to collections (SUB-6), and those paid after all.';

CREATE TABLE service_end (
    deactivation_id uuid PRIMARY KEY,
    subscription_id uuid NOT NULL UNIQUE REFERENCES subscription,
    asked_at timestamptz NOT NULL,
    -- When ota said that it takes longer than its retries (OTA-4).
    delayed_at timestamptz,
    done_at timestamptz
);
COMMENT ON TABLE service_end IS 'Deactivations that non-payment asked for (SUB-6, OTA-4), followed until the car has done them.';

CREATE OR REPLACE VIEW whole_invoice AS
SELECT i.*, l.code, l.name, l.vehicle_id, l.purchase_kind, l.duration_days, l.options, l.dealership, l.plates, l.vat_rate_bp,
    d.invoice_id AS deducted_id, d.number AS deducted_number, d.issued_at AS deducted_issued_at,
    d.base_minor AS deducted_base, d.vat_minor AS deducted_vat,
    r.period, r.due_on, a.payment_id IS NOT NULL AS is_charged
FROM invoice i
JOIN invoice_line l ON l.invoice_id = i.invoice_id AND l.line = 1
LEFT JOIN invoice_line dl ON dl.invoice_id = i.invoice_id AND dl.line = 2 AND dl.concept = 'deduction'
LEFT JOIN invoice d ON d.invoice_id = dl.deducted_invoice_id
LEFT JOIN receivable r ON r.invoice_id = i.invoice_id
LEFT JOIN charge_attempt a ON a.invoice_id = i.invoice_id AND a.attempt = 1;
COMMENT ON VIEW whole_invoice IS
    'An invoice with what it sold, the reservation that it deducts, the month that it bills and whether that was charged at once, in one row.';

DO $$
DECLARE
    protected text;
BEGIN
    FOREACH protected IN ARRAY ARRAY['rate_plan', 'rate_tier', 'subscription', 'usage_event', 'uncharged_usage', 'usage_line',
        'period_close', 'subscription_cancellation', 'charge_attempt', 'charge_outcome', 'charge_action'] LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()',
            protected || '_is_immutable', protected);
    END LOOP;
END $$;
