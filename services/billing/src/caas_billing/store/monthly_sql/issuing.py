"""The rows and messages of monthly invoices: parts of the statement by which `closing` writes them (SUB-4).

Every row and message comes from `bill` and `line` of `rating`; nothing is read twice, nothing leaves the database.
"""

from typing import Final

EFFECTS: Final = ("typeset-stored",)
"""Whose tasks the statement writes."""

DUE_PERIODS: Final = """
due_period AS (
    SELECT subscription_id, next_period AS period FROM subscription_standing
    WHERE subscription_id = ANY($2::uuid[]) AND next_period <= $7
),
"""

NUMBERS: Final = """
, closing AS MATERIALIZED (
    -- No message could carry a larger amount: such a bill is left for a person to look at.
    SELECT b.*, b.total::bigint AS total_minor FROM bill b WHERE b.total <= 1000000000000
), fresh AS MATERIALIZED (
    SELECT c.*, uuidv7() AS invoice_id, uuidv7() AS payment_id,
        (row_number() OVER (ORDER BY c.period, c.subscription_id))::integer AS n,
        s.whole + CASE WHEN 2 * s.rest > 10000 + vat_rate_bp OR (2 * s.rest = 10000 + vat_rate_bp AND s.whole % 2 = 1)
            THEN 1 ELSE 0 END AS base_minor
    FROM closing c
    CROSS JOIN LATERAL (SELECT c.total_minor * 10000 / (10000 + c.vat_rate_bp) AS whole,
        c.total_minor * 10000 % (10000 + c.vat_rate_bp) AS rest) s
    WHERE c.total_minor > 0
), taken AS (
    -- INV-2: the series is locked from here to the commit.
    INSERT INTO series AS known (series, year, last_position, last_issued_at)
    SELECT 'M', extract(year FROM $4::timestamptz AT TIME ZONE 'Europe/Madrid'), count(*), $4
    FROM fresh HAVING count(*) > 0
    ON CONFLICT (series, year) DO UPDATE SET last_position = known.last_position + excluded.last_position,
        last_issued_at = greatest(known.last_issued_at, excluded.last_issued_at)
    RETURNING year, last_position, last_issued_at
), issued AS MATERIALIZED (
    SELECT f.*, t.year, p.position, t.last_issued_at AS issued_at,
        format('M-%s-%s', t.year, lpad(p.position::text, greatest(6, length(p.position::text)), '0')) AS number,
        to_char(f.period, 'YYYY-MM') AS period_text,
        to_char(t.last_issued_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS issued_text,
        to_char($4::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS now_text,
        json_build_object('amount_minor', f.total_minor, 'currency', f.currency) AS total_money,
        -- Each bill is a story and a trace of its own; what caused it is the run.
        replace(f.invoice_id::text, '-', '') AS trace
    FROM fresh f CROSS JOIN taken t CROSS JOIN (SELECT count(*)::integer AS all FROM fresh) c
    CROSS JOIN LATERAL (SELECT t.last_position - c.all + f.n AS position) p
)
"""

ROWS: Final = """
, new_invoice AS (
    INSERT INTO invoice (invoice_id, series, year, position, number, kind, payment_id, subject_id, customer_id,
        customer_name, customer_email, customer_tax_id, language, currency, base_minor, vat_minor, total_minor,
        supplied_at, issued_at)
    SELECT invoice_id, 'M', year, position, number, 'subscription', payment_id, subscription_id, customer_id,
        customer_name, customer_email, customer_tax_id, customer_language, currency, base_minor,
        total_minor - base_minor, total_minor, least(ended_at, ends_at) - interval '1 microsecond', issued_at
    FROM issued
), new_invoice_line AS (
    INSERT INTO invoice_line (invoice_id, line, concept, code, name, vehicle_id, options, vat_rate_bp, base_minor,
        vat_minor, total_minor)
    SELECT invoice_id, 1, 'subscription', service_code, service_name, vehicle_id, '{}', vat_rate_bp, base_minor,
        total_minor - base_minor, total_minor
    FROM issued
), new_usage_line AS (
    INSERT INTO usage_line (invoice_id, line, kind, plan_code, plan_version, tier, used_in, unit, quantity, rate,
        days, days_in_month, usage_events, total_minor)
    SELECT i.invoice_id, row_number() OVER (PARTITION BY i.invoice_id ORDER BY l.used_in DESC, l.tier), l.kind,
        l.plan_code, l.version, l.tier, l.used_in, l.unit, l.quantity, l.rate, l.days, l.days_in_month, l.events,
        l.total
    FROM issued i JOIN line l USING (subscription_id, period)
), new_period_close AS (
    INSERT INTO period_close (subscription_id, period, run_id, invoice_id, total_minor, closed_at)
    SELECT c.subscription_id, c.period, $3, f.invoice_id, c.total_minor, $4
    FROM closing c LEFT JOIN fresh f USING (subscription_id, period)
), new_receivable AS (
    INSERT INTO receivable (invoice_id, subscription_id, period, amount_minor, currency, due_on, status, attempts,
        failures, first_failed_at, next_attempt_at, changed_at)
    SELECT invoice_id, subscription_id, period, total_minor, currency, (issued_at AT TIME ZONE $1)::date,
        CASE WHEN method_refused THEN 'retry' ELSE 'processing' END, 1,
        CASE WHEN method_refused THEN 1 ELSE 0 END, CASE WHEN method_refused THEN $4::timestamptz END,
        CASE WHEN method_refused THEN $6::timestamptz END, $4
    FROM issued
), new_charge_attempt AS (
    INSERT INTO charge_attempt (invoice_id, attempt, payment_id, payment_method, asked_at)
    SELECT invoice_id, 1, CASE WHEN NOT method_refused THEN payment_id END,
        CASE WHEN NOT method_refused THEN payment_method END, $4
    FROM issued
), new_charge_outcome AS (
    INSERT INTO charge_outcome (invoice_id, attempt, outcome, reason, known_at)
    SELECT invoice_id, 1, 'not_asked', 'payment_method_refused', $4 FROM issued WHERE method_refused
), new_standing AS (
    -- A subscription that has ended keeps its last state; its last bill is followed by the receivable alone (SUB-7).
    UPDATE subscription_standing t SET changed_at = $4,
        next_period = CASE WHEN c.ended_at IS NULL OR c.ended_at > c.ends_at THEN c.following END,
        status = CASE WHEN c.total_minor = 0 OR c.status IN ('cancelled_nonpayment', 'cancelled_customer')
            THEN c.status WHEN c.method_refused THEN 'retry' ELSE 'payment_processing' END
    FROM closing c WHERE t.subscription_id = c.subscription_id
)
"""

MESSAGES: Final = """
, message AS (
    SELECT uuidv7() AS id, m.topic, m.key, m.type, m.body::text, i.invoice_id::text AS correlationid,
        $3::text AS causationid, $4::timestamptz AS occurred_at, m.n,
        format('00-%s-%s-01', i.trace, right(replace(uuidv7()::text, '-', ''), 16)) AS traceparent
    FROM issued i CROSS JOIN LATERAL (
        SELECT 'caas.billing.events.v1' AS topic, i.subscription_id::text AS key,
            'caas.billing.InvoiceIssued.v1' AS type, 2 * i.n AS n,
            json_build_object('invoice_id', i.invoice_id, 'number', i.number, 'kind', 'subscription',
                'customer_id', i.customer_id, 'subject_id', i.subscription_id, 'payment_id', i.payment_id,
                'vat', json_build_array(json_build_object('rate_bp', i.vat_rate_bp,
                    'base', json_build_object('amount_minor', i.base_minor, 'currency', i.currency),
                    'vat', json_build_object('amount_minor', i.total_minor - i.base_minor, 'currency', i.currency))),
                'total', i.total_money, 'deducted', json_build_array(), 'issued_at', i.issued_text,
                'document_url', format('/invoices/%s/document', i.invoice_id)) AS body
        UNION ALL
        SELECT 'caas.payments.commands.v1', i.payment_id::text, 'caas.payments.ChargePayment.v1', 2 * i.n + 1,
            json_build_object('payment_id', i.payment_id,
                'idempotency_key', format('invoice:%s:attempt:1', i.invoice_id), 'purpose', 'subscription',
                'customer_id', i.customer_id, 'subject_id', i.invoice_id, 'vehicle_id', i.vehicle_id,
                'service_code', i.service_code, 'amount', i.total_money, 'payment_method', i.payment_method,
                'customer_present', false, 'requested_at', i.now_text)
        WHERE NOT i.method_refused
        UNION ALL
        SELECT 'caas.billing.events.v1', i.subscription_id::text, 'caas.billing.SubscriptionPaymentFailed.v1',
            2 * i.n + 1,
            json_build_object('subscription_id', i.subscription_id, 'customer_id', i.customer_id,
                'vehicle_id', i.vehicle_id, 'service_code', i.service_code, 'invoice_id', i.invoice_id,
                'invoice_number', i.number, 'period', i.period_text, 'amount', i.total_money,
                'occurred_at', i.now_text, 'payment_id', NULL, 'attempt', 1, 'reason', 'payment_method_refused',
                'new_method_needed', true, 'next_attempt_at',
                to_char($6::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
        WHERE i.method_refused
    ) m
), task AS (
    SELECT 'typeset-stored' AS effect, i.invoice_id::text AS key,
        json_build_object('document_id', i.invoice_id)::text AS body, i.invoice_id::text AS correlationid,
        $3::text AS causationid, $5::text AS actor,
        format('00-%s-%s-01', i.trace, right(replace(i.payment_id::text, '-', ''), 16)) AS traceparent
    FROM issued i
)
"""

RESULT: Final = """
SELECT (SELECT count(*) FROM closing) AS closed, (SELECT count(*) FROM fresh) AS invoices,
    (SELECT array_agg(invoice_id) FROM issued WHERE method_refused) AS not_charged,
    (SELECT array_agg(subscription_id ORDER BY subscription_id) FROM bill WHERE total > 1000000000000) AS too_large
"""
