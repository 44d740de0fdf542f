-- Money that is taken ahead of its activation (PLN-1, RSK-2), renewals (REC-1), refunds that are pursued (DES-4), and
-- what each delivery decision was taken from (RSK-2).
ALTER TABLE payments
    ADD COLUMN taken_ahead boolean NOT NULL DEFAULT false,
    ADD COLUMN renewed_activation_id uuid,
    ADD COLUMN renewed_kind text CHECK (renewed_kind = 'success');
ALTER TABLE payments ALTER COLUMN sold
    SET EXPRESSION AS (purpose <> 'service' OR taken_ahead OR renewed_activation_id IS NOT NULL);
ALTER TABLE delivery_proofs ADD CONSTRAINT delivery_proofs_verdict UNIQUE (activation_id, kind);
ALTER TABLE payments
    DROP CONSTRAINT only_a_service_has_an_activation,
    ADD CONSTRAINT only_a_service_has_an_activation CHECK (CASE WHEN purpose = 'service'
        THEN num_nulls(vehicle_id, service_code) = 0 AND num_nonnulls(activation_id, renewed_activation_id) = 1
        ELSE num_nonnulls(activation_id, renewed_activation_id) = 0 AND NOT taken_ahead END),
    ADD CONSTRAINT what_is_taken_ahead_names_its_activation CHECK (NOT taken_ahead OR activation_id IS NOT NULL),
    -- SVC-6 for renewals: one that was begun refers to the success of what it renews; without it there is only a refusal.
    ADD CONSTRAINT only_what_succeeded_is_renewed CHECK (CASE WHEN renewed_activation_id IS NULL THEN renewed_kind IS NULL
        ELSE renewed_kind IS NOT NULL OR (status = 'FAILED' AND captured_minor = 0) END),
    ADD CONSTRAINT renewed_is_delivered FOREIGN KEY (renewed_activation_id, renewed_kind)
        REFERENCES delivery_proofs (activation_id, kind),
    ADD CONSTRAINT payments_taken_ahead UNIQUE (id, taken_ahead);
COMMENT ON COLUMN payments.sold IS
    'Paid by a sale: everything but the hold of a service, whose money is taken when its activation succeeded (SVC-6).';
COMMENT ON COLUMN payments.taken_ahead IS
    'The price of a service, taken before its activation (PLN-1): earned by its success, given back otherwise (SVC-6).';
COMMENT ON COLUMN payments.renewed_activation_id IS
    'The activation whose next period is paid (REC-1): its success is stored, or the renewal was refused.';

ALTER TABLE refunds
    ADD COLUMN taken_ahead boolean NOT NULL DEFAULT false,
    ADD COLUMN proof_id uuid,
    ADD COLUMN proof_kind text,
    ADD COLUMN refusals int NOT NULL DEFAULT 0 CHECK (refusals >= 0),
    ADD COLUMN delayed_at timestamptz,
    ADD COLUMN delay_reason text,
    ADD CONSTRAINT refund_of_its_payment FOREIGN KEY (payment_id, taken_ahead) REFERENCES payments (id, taken_ahead),
    ADD CONSTRAINT refund_on_its_verdict FOREIGN KEY (proof_id, proof_kind, payment_id)
        REFERENCES delivery_proofs (id, kind, payment_id),
    ADD CONSTRAINT what_is_taken_ahead_goes_back_on_a_verdict CHECK (CASE WHEN taken_ahead
        THEN num_nulls(proof_id, proof_kind) = 0 ELSE num_nonnulls(proof_id, proof_kind) = 0 END),
    ADD CONSTRAINT delayed_for_a_reason CHECK ((delayed_at IS NULL) = (delay_reason IS NULL));
CREATE UNIQUE INDEX refunds_on_a_ground ON refunds (payment_id) WHERE taken_ahead AND proof_kind <> 'success';
CREATE INDEX refunds_delayed ON refunds (delayed_at) WHERE state = 'requested' AND delayed_at IS NOT NULL;
COMMENT ON COLUMN refunds.taken_ahead IS
    'By the foreign key it is the payment''s own: money taken ahead goes back on a stored verdict, on a ground only once.';
COMMENT ON COLUMN refunds.refusals IS 'How often the gateway has refused it: it is asked for again, at growing intervals.';
COMMENT ON COLUMN refunds.delayed_at IS 'Since when it is known not to go by itself; told once (DES-4).';

CREATE TABLE risk_inputs (
    payment_id uuid PRIMARY KEY REFERENCES payments (id),
    decided_at timestamptz NOT NULL,
    wish text NOT NULL CHECK (wish IN ('hold', 'sale', 'ahead', 'renewal')),
    at_risk_minor bigint NOT NULL CHECK (at_risk_minor >= 0),
    write_offs int NOT NULL CHECK (write_offs >= 0)
);
CREATE INDEX risk_inputs_decided ON risk_inputs (decided_at, payment_id);
COMMENT ON TABLE risk_inputs IS
    'What was known of the customer when a delivery decision was taken (RSK-2): a new policy is tried on it; append-only.';
CREATE TRIGGER risk_inputs_rows BEFORE UPDATE OR DELETE ON risk_inputs FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- SVC-8: what is lost of a payment whose money does not come. Money that was taken ahead of an activation that has no
-- success is not lost but given back.
CREATE FUNCTION written_off_minor(p payments) RETURNS bigint LANGUAGE sql STABLE RETURN CASE
    WHEN p.status <> 'SETTLEMENT_FAILED' OR (p.taken_ahead AND p.delivered_at IS NULL) THEN 0
    ELSE greatest(0, CASE WHEN p.captured_minor > 0 THEN p.captured_minor ELSE coalesce(p.capture_limit_minor, p.amount_minor) END
        - p.settled_minor - p.refunded_minor - p.charged_back_minor) END;
COMMENT ON FUNCTION written_off_minor IS 'What is lost of a payment, in minor units; money that came later is not (SVC-8).';
