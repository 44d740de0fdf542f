-- A subscription is a purchase without a payment of its own: its use is billed monthly (SUB-1).
ALTER TABLE purchases ALTER COLUMN payment_id DROP NOT NULL,
    ADD COLUMN plan_code text,
    ADD COLUMN plan_version integer CHECK (plan_version > 0),
    DROP CONSTRAINT purchases_kind_check,
    ADD CONSTRAINT purchases_kind_check CHECK (kind IN ('temporary', 'permanent', 'subscription')),
    DROP CONSTRAINT purchases_status_check,
    ADD CONSTRAINT purchases_status_check CHECK (status IN ('requested', 'authorizing', 'activating', 'cancelling',
        'active', 'failed', 'declined', 'blocked', 'cancelled', 'expired', 'ended')),
    DROP CONSTRAINT purchases_money_check,
    ADD CONSTRAINT purchases_money_check CHECK
        (money IN ('captured', 'written_off', 'voided', 'never_held', 'billed_monthly')),
    DROP CONSTRAINT active_is_delivered_and_settled,
    -- SVC-4, SVC-8, SUB-1: active means delivered, and paid, written off or billed monthly.
    ADD CONSTRAINT active_is_delivered_and_settled CHECK (status NOT IN ('active', 'expired', 'ended')
        OR (activated_at IS NOT NULL AND money IS NOT NULL AND money IN ('captured', 'written_off', 'billed_monthly'))),
    ADD CONSTRAINT only_subscriptions_are_billed_monthly CHECK
        (money IS NULL OR money IN ('voided', 'never_held') OR (money = 'billed_monthly') = (kind = 'subscription')),
    ADD CONSTRAINT only_subscriptions_have_a_plan_and_no_payment CHECK
        (CASE WHEN kind = 'subscription' THEN num_nulls(plan_code, plan_version) = 0 AND payment_id IS NULL
            ELSE num_nonnulls(plan_code, plan_version) = 0 AND payment_id IS NOT NULL END),
    ADD CONSTRAINT only_subscriptions_end CHECK (status <> 'ended' OR (kind = 'subscription' AND ends_at IS NOT NULL));
COMMENT ON TABLE purchases IS
    'Purchases of one-time services and subscriptions, and what is known of their payment and activation.';
COMMENT ON COLUMN purchases.plan_version IS 'Agreed to (SUB-3); since the subscription is active, the one in force when it began.';

-- A subscription is told about every month: the occasion is the invoice, and the attempt at its payment.
ALTER TABLE notifications DROP CONSTRAINT notifications_purchase_id_kind_key,
    DROP CONSTRAINT notifications_kind_check,
    ADD CONSTRAINT notifications_kind_check CHECK (CASE WHEN order_id IS NULL
        THEN kind IN ('activated', 'failed_not_charged', 'declined', 'blocked_maintenance', 'cancelled',
            'invoice_issued') OR kind ~ '^subscription_[a-z_]+$'
        ELSE kind ~ '^order_[a-z_]+$' END);
CREATE UNIQUE INDEX told_once_per_purchase ON notifications (purchase_id, kind, occasion);
COMMENT ON TABLE notifications IS
    'What customers were told, each kind and occasion once per purchase or vehicle order (NOT-1).';

CREATE INDEX documents_of_subject ON documents (subject_id, document_id);

CREATE TABLE published_rate_plan (
    plan_code text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    plan jsonb NOT NULL,
    published_at timestamptz NOT NULL,
    PRIMARY KEY (plan_code, version)
);
COMMENT ON TABLE published_rate_plan IS
    'The versions of rate plans that billing was told, with their terms: published once, never with other terms (SUB-3).';

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP;
END $$;
CREATE TRIGGER published_rate_plan_is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON published_rate_plan
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
