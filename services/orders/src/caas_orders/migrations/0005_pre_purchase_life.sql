-- Planned and recurring purchases, their end, withdrawal and theft (PLN, REC, SVC-9, DES, THF).
ALTER TABLE purchases
    -- When a planned purchase is activated, and the zone of the customer's calendar (PLN-1, REC-4).
    ADD COLUMN starts_at timestamptz,
    ADD COLUMN time_zone text NOT NULL DEFAULT 'Europe/Madrid',
    ADD COLUMN period_months integer CHECK (period_months BETWEEN 1 AND 12),
    -- The customer's car has taken the service out again (OTA-4).
    ADD COLUMN deactivated_at timestamptz,
    ADD COLUMN deactivation_delayed_at timestamptz,
    -- The price was taken before the activation (PLN-1, RSK-2), and what of it has reached the bank so far.
    ADD COLUMN paid_ahead_at timestamptz,
    ADD COLUMN settled_minor bigint NOT NULL DEFAULT 0 CHECK (settled_minor >= 0),
    ADD CONSTRAINT waiting_is_paid_ahead CHECK (status NOT IN ('settling', 'scheduled') OR paid_ahead_at IS NOT NULL),
    -- Set by the confirmation of a withdrawal: nothing but its end happens to the purchase from then on (DES-4).
    ADD COLUMN withdrawal_id uuid,
    ADD CONSTRAINT withdrawn_by_a_withdrawal CHECK
        (status NOT IN ('withdrawing', 'withdrawn') OR withdrawal_id IS NOT NULL),
    DROP CONSTRAINT purchases_kind_check,
    ADD CONSTRAINT purchases_kind_check CHECK (kind IN ('temporary', 'permanent', 'planned', 'recurring', 'subscription')),
    DROP CONSTRAINT duration_of_temporary,
    ADD CONSTRAINT duration_fits_the_kind CHECK (CASE kind
        WHEN 'temporary' THEN duration_days IS NOT NULL
        WHEN 'planned' THEN num_nonnulls(duration_days, period_months) < 2
        ELSE duration_days IS NULL END),
    ADD CONSTRAINT only_planned_start_later CHECK ((kind = 'planned') = (starts_at IS NOT NULL)),
    ADD CONSTRAINT recurring_has_a_period CHECK (CASE kind
        WHEN 'recurring' THEN period_months IS NOT NULL
        WHEN 'planned' THEN true
        ELSE period_months IS NULL END),
    DROP CONSTRAINT purchases_status_check,
    ADD CONSTRAINT purchases_status_check CHECK (status IN ('requested', 'authorizing', 'settling', 'scheduled',
        'activating', 'cancelling', 'active', 'failed', 'declined', 'blocked', 'cancelled', 'expired', 'ended',
        'withdrawing', 'withdrawn')),
    DROP CONSTRAINT purchases_check,
    ADD CONSTRAINT occupies_while_it_runs CHECK (occupies = (status IN
        ('requested', 'authorizing', 'settling', 'scheduled', 'activating', 'cancelling', 'active'))),
    DROP CONSTRAINT purchases_money_check,
    ADD CONSTRAINT purchases_money_check CHECK
        (money IN ('captured', 'written_off', 'voided', 'refunded', 'never_held', 'billed_monthly')),
    DROP CONSTRAINT active_is_delivered_and_settled,
    -- SVC-4, SVC-8, SUB-1: active means delivered, and paid, written off or billed monthly.
    ADD CONSTRAINT active_is_delivered_and_settled CHECK (status NOT IN ('active', 'expired', 'ended', 'withdrawing',
            'withdrawn')
        OR (activated_at IS NOT NULL AND money IS NOT NULL
            AND (money IN ('captured', 'written_off', 'billed_monthly') OR (status = 'withdrawn' AND money = 'refunded')))),
    DROP CONSTRAINT ended_without_service_is_free,
    -- SVC-5, SVC-7, PLN-1: what ended without the service was never charged, or has been paid back.
    ADD CONSTRAINT ended_without_service_is_free CHECK (status NOT IN ('failed', 'declined', 'blocked', 'cancelled')
        OR (money IS NOT NULL AND money IN ('voided', 'refunded', 'never_held'))),
    DROP CONSTRAINT only_subscriptions_are_billed_monthly,
    ADD CONSTRAINT only_subscriptions_are_billed_monthly CHECK
        (money IS NULL OR money IN ('voided', 'refunded', 'never_held') OR (money = 'billed_monthly') = (kind = 'subscription'));

CREATE TABLE recurrence (
    purchase_id uuid PRIMARY KEY REFERENCES purchases,
    -- The first instant of the first period: every renewal is reckoned from it (REC-4).
    anchor_at timestamptz NOT NULL,
    -- The period that is charged next, and when; the first is 1.
    next_period integer NOT NULL CHECK (next_period > 1),
    next_renewal_at timestamptz NOT NULL,
    -- How often the next period was charged already: again only after it was found that nothing was taken (GW-4).
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    status text NOT NULL CHECK (status IN ('running', 'renewing', 'ended')),
    reason text NOT NULL DEFAULT '',
    changed_at timestamptz NOT NULL,
    CONSTRAINT ended_has_a_reason CHECK ((status = 'ended') = (reason <> '')),
    CONSTRAINT renewing_was_asked CHECK (status <> 'renewing' OR attempts > 0)
) WITH (fillfactor = 75);
COMMENT ON TABLE recurrence IS 'Purchases that renew themselves (REC-1), from the first activation on, and why they stopped.';

CREATE TABLE renewal (
    payment_id uuid PRIMARY KEY,
    purchase_id uuid NOT NULL REFERENCES recurrence,
    period_number integer NOT NULL CHECK (period_number > 1),
    attempt integer NOT NULL CHECK (attempt > 0),
    period_from timestamptz NOT NULL,
    period_to timestamptz NOT NULL CHECK (period_to > period_from),
    asked_at timestamptz NOT NULL,
    -- given_back: it was paid after the customer had stopped the recurrence.
    outcome text CHECK (outcome IN ('paid', 'failed', 'abandoned', 'given_back')),
    reason text NOT NULL DEFAULT '',
    known_at timestamptz,
    CONSTRAINT known_with_its_outcome CHECK ((known_at IS NULL) = (outcome IS NULL)),
    UNIQUE (purchase_id, period_number, attempt)
) WITH (fillfactor = 75);
-- PAY-7: a period is paid once, and by one payment at a time.
CREATE UNIQUE INDEX one_payment_of_a_period ON renewal (purchase_id, period_number)
    WHERE outcome IS NULL OR outcome IN ('paid', 'given_back');
COMMENT ON TABLE renewal IS 'Each payment of a further period that was asked for, and what became of it.';

CREATE TABLE withdrawal (
    withdrawal_id uuid PRIMARY KEY,
    purchase_id uuid NOT NULL UNIQUE REFERENCES purchases,
    declared_at timestamptz NOT NULL,
    -- What the declaration promised, VAT included.
    refund_due_minor bigint NOT NULL CHECK (refund_due_minor >= 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    confirmed_at timestamptz CHECK (confirmed_at >= declared_at),
    refund_id uuid UNIQUE,
    refund_delayed_at timestamptz,
    refunded_at timestamptz,
    completed_at timestamptz,
    CONSTRAINT nothing_happens_before_the_confirmation CHECK (confirmed_at IS NOT NULL
        OR num_nonnulls(refund_id, refund_delayed_at, refunded_at, completed_at) = 0),
    -- DES-4: what was asked back is back before it is done.
    CONSTRAINT done_means_paid_back CHECK (completed_at IS NULL OR refund_id IS NULL OR refunded_at IS NOT NULL)
);
COMMENT ON TABLE withdrawal IS
    'Withdrawals of Directive (EU) 2023/2673, in their two steps (DES-7): one per purchase, with one refund (DES-6).';
ALTER TABLE purchases ADD CONSTRAINT purchases_withdrawal_fkey FOREIGN KEY (withdrawal_id) REFERENCES withdrawal;

-- THF: nothing is sold for a vehicle that was reported stolen. In its row, so that whoever sells for it locks it.
ALTER TABLE vehicles
    ADD COLUMN theft_report_id uuid,
    ADD COLUMN stolen_at timestamptz,
    ADD COLUMN theft_recorded_at timestamptz,
    ADD CONSTRAINT stolen_by_a_report CHECK (num_nonnulls(theft_report_id, stolen_at, theft_recorded_at) IN (0, 3));
COMMENT ON COLUMN vehicles.stolen_at IS 'THF: when its theft was reported; theft_recorded_at is when we knew.';

-- A theft is told about the vehicle itself, once.
ALTER TABLE notifications
    ADD COLUMN vehicle_id text REFERENCES vehicles,
    DROP CONSTRAINT about_one_thing,
    ADD CONSTRAINT about_one_thing CHECK (num_nonnulls(purchase_id, order_id, vehicle_id) = 1);
CREATE UNIQUE INDEX told_once_per_vehicle ON notifications (vehicle_id, kind, occasion) WHERE vehicle_id IS NOT NULL;

ALTER TABLE notifications DROP CONSTRAINT notifications_kind_check,
    ADD CONSTRAINT notifications_kind_check CHECK (CASE WHEN order_id IS NULL
        THEN kind ~ '^[a-z_]+$' AND kind !~ '^order_' ELSE kind ~ '^order_[a-z_]+$' END);

-- SVC-9: what was sold before services were taken out again comes to its end as well.
INSERT INTO chassis.timer (timer, key, due_at, correlationid, causationid, actor)
SELECT 'expiry', purchase_id::text, ends_at, purchase_id::text, purchase_id::text, 'orders'
FROM purchases WHERE status = 'active' AND ends_at IS NOT NULL AND kind = 'temporary';
