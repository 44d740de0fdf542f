-- Planned and recurring services (PLN, REC): what is paid before it is delivered, and one payment per period.
ALTER TABLE billable_purchase
    -- Which period the payment is for; only recurring services have more than one (REC-1).
    ADD COLUMN period_number integer NOT NULL DEFAULT 1 CHECK (period_number > 0),
    ADD COLUMN period_months integer CHECK (period_months BETWEEN 1 AND 12),
    -- When the period ends that the payment is for, by orders' calendar (REC-4).
    ADD COLUMN period_ends_at timestamptz,
    DROP CONSTRAINT billable_purchase_purchase_id_key,
    ADD CONSTRAINT one_payment_per_period UNIQUE (purchase_id, period_number),
    DROP CONSTRAINT billable_purchase_purchase_kind_check,
    ADD CONSTRAINT purchase_kind_is_known CHECK (purchase_kind IN ('temporary', 'permanent', 'planned', 'recurring')),
    -- Money that is taken ahead is known before the service starts (PLN-1).
    DROP CONSTRAINT capture_is_whole,
    ADD CONSTRAINT money_is_whole CHECK (num_nulls(captured_minor, currency) IN (0, 2)),
    ADD CONSTRAINT only_recurring_have_periods CHECK
        (period_months IS NOT NULL OR (period_number = 1 AND period_ends_at IS NULL));
COMMENT ON TABLE billable_purchase IS
    'A payment of a service, and the purchase or the period that it is for, joined in whichever order the facts arrive. Complete rows are invoiced once.';
COMMENT ON COLUMN billable_purchase.captured_minor IS 'What was captured, or taken by a sale; null until it is known.';
COMMENT ON COLUMN billable_purchase.supplied_at IS
    'When the service, or the period, started: with money taken ahead known by its success only (INV-1).';

ALTER TABLE invoice_line
    DROP CONSTRAINT invoice_line_purchase_kind_check,
    ADD CONSTRAINT purchase_kind_is_known CHECK (purchase_kind IN ('temporary', 'permanent', 'planned', 'recurring')),
    -- Of recurring services only: the period that is charged; it starts when the invoice says it is supplied.
    ADD COLUMN period_number integer CHECK (period_number > 0),
    ADD COLUMN period_ends_at timestamptz,
    ADD CONSTRAINT period_is_whole CHECK (num_nulls(period_number, period_ends_at) IN (0, 2));

CREATE OR REPLACE VIEW whole_invoice AS
SELECT i.*, l.code, l.name, l.vehicle_id, l.purchase_kind, l.duration_days, l.options, l.dealership, l.plates, l.vat_rate_bp,
    d.invoice_id AS deducted_id, d.number AS deducted_number, d.issued_at AS deducted_issued_at,
    d.base_minor AS deducted_base, d.vat_minor AS deducted_vat,
    r.period, r.due_on, a.payment_id IS NOT NULL AS is_charged, l.period_number, l.period_ends_at
FROM invoice i
JOIN invoice_line l ON l.invoice_id = i.invoice_id AND l.line = 1
LEFT JOIN invoice_line dl ON dl.invoice_id = i.invoice_id AND dl.line = 2 AND dl.concept = 'deduction'
LEFT JOIN invoice d ON d.invoice_id = dl.deducted_invoice_id
LEFT JOIN receivable r ON r.invoice_id = i.invoice_id
LEFT JOIN charge_attempt a ON a.invoice_id = i.invoice_id AND a.attempt = 1;
