CREATE TABLE customers (
    customer_id text PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    email text NOT NULL CHECK (email LIKE '%_@_%'),
    language text NOT NULL CHECK (language IN ('es', 'en')),
    tax_id text,
    registered_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
COMMENT ON TABLE customers IS 'Who buys, and how to write to them.';

CREATE TABLE vehicles (
    vehicle_id text PRIMARY KEY,
    customer_id text NOT NULL REFERENCES customers,
    model text NOT NULL,
    equipment text[] NOT NULL,
    public_key text NOT NULL,
    registered_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
COMMENT ON TABLE vehicles IS 'Cars, their owners, what is built in, and the Ed25519 key of their acknowledgements.';
CREATE INDEX vehicles_of_customer ON vehicles (customer_id);

-- Updates of a running purchase touch no indexed column, so with free space in the page they stay cheap (HOT).
CREATE TABLE purchases (
    purchase_id uuid PRIMARY KEY,
    customer_id text NOT NULL REFERENCES customers,
    vehicle_id text NOT NULL REFERENCES vehicles,
    service_code text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('temporary', 'permanent')),
    duration_days integer CHECK (duration_days > 0),
    price_minor bigint NOT NULL CHECK (price_minor >= 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    vat_rate_bp integer NOT NULL CHECK (vat_rate_bp BETWEEN 0 AND 10000),
    catalogue_version integer NOT NULL,
    payment_method text NOT NULL CHECK (payment_method ~ '^[A-Za-z]'),
    consent_at timestamptz NOT NULL,
    awaited boolean NOT NULL,
    payment_id uuid NOT NULL UNIQUE,
    activation_id uuid NOT NULL UNIQUE,
    status text NOT NULL CHECK (status IN ('requested', 'authorizing', 'activating', 'cancelling', 'active',
        'failed', 'declined', 'blocked', 'cancelled', 'expired')),
    occupies boolean NOT NULL CHECK (occupies = (status IN
        ('requested', 'authorizing', 'activating', 'cancelling', 'active'))),
    requested_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    reason text NOT NULL,
    money text CHECK (money IN ('captured', 'written_off', 'voided', 'never_held')),
    activation_not_after timestamptz,
    payment_cancelled_at timestamptz,
    cancelled_at timestamptz,
    activated_at timestamptz,
    activation_failure text NOT NULL,
    deactivation_id uuid,
    ends_at timestamptz,
    version integer NOT NULL CHECK (version > 0),
    CONSTRAINT duration_of_temporary CHECK ((kind = 'temporary') = (duration_days IS NOT NULL)),
    -- SVC-6: an activation is asked for, or the payment is given up without one; never both.
    CONSTRAINT activation_or_cancelled_payment CHECK (activation_not_after IS NULL OR payment_cancelled_at IS NULL),
    -- SVC-4, SVC-8: active means delivered, and paid or written off.
    CONSTRAINT active_is_delivered_and_settled CHECK (status NOT IN ('active', 'expired')
        OR (activated_at IS NOT NULL AND money IS NOT NULL AND money IN ('captured', 'written_off'))),
    -- SVC-5, SVC-7: what ended without the service was never charged.
    CONSTRAINT ended_without_service_is_free CHECK (status NOT IN ('failed', 'declined', 'blocked', 'cancelled')
        OR (money IS NOT NULL AND money IN ('voided', 'never_held')))
) WITH (fillfactor = 75);
COMMENT ON TABLE purchases IS 'Purchases of one-time services and what is known of their payment and activation.';
COMMENT ON COLUMN purchases.consent_at IS 'DES-8: when the customer consented to immediate performance.';
COMMENT ON COLUMN purchases.occupies IS 'The service is active or being bought, so it cannot be bought again.';
CREATE UNIQUE INDEX one_purchase_of_a_service_per_vehicle ON purchases (vehicle_id, service_code) WHERE occupies;
CREATE INDEX purchases_of_customer ON purchases (customer_id, purchase_id);

CREATE TABLE notifications (
    notification_id uuid PRIMARY KEY,
    purchase_id uuid NOT NULL REFERENCES purchases,
    customer_id text NOT NULL REFERENCES customers,
    kind text NOT NULL CHECK (kind IN ('activated', 'failed_not_charged', 'declined', 'blocked_maintenance',
        'cancelled', 'invoice_issued')),
    subject text NOT NULL,
    body text NOT NULL,
    state text NOT NULL CHECK (state IN ('queued', 'sent', 'undeliverable', 'listed')),
    created_at timestamptz NOT NULL,
    sent_at timestamptz CHECK ((state = 'sent') = (sent_at IS NOT NULL)),
    UNIQUE (purchase_id, kind)
) WITH (fillfactor = 75);
COMMENT ON TABLE notifications IS 'What customers were told, each kind once per purchase (NOT-1).';
COMMENT ON COLUMN notifications.state IS 'listed: only in the purchase file, because another service mails it.';
CREATE INDEX notifications_of_customer ON notifications (customer_id, notification_id);

CREATE TABLE documents (
    document_id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('invoice', 'credit_note')),
    number text NOT NULL,
    customer_id text NOT NULL,
    subject_id uuid NOT NULL,
    total_minor bigint NOT NULL CHECK (total_minor >= 0),
    currency text NOT NULL,
    issued_at timestamptz NOT NULL,
    document_url text NOT NULL
);
COMMENT ON TABLE documents IS 'Invoices and credit notes that billing issued, as listed in the purchase file (INV-4).';
CREATE INDEX documents_of_customer ON documents (customer_id, document_id);

CREATE TABLE alerts (
    alert_id uuid PRIMARY KEY,
    service text NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    detail text NOT NULL,
    raised_at timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('queued', 'sent', 'undeliverable')),
    sent_at timestamptz CHECK ((state = 'sent') = (sent_at IS NOT NULL)),
    UNIQUE (service, kind, subject, raised_at)
);
COMMENT ON TABLE alerts IS 'What operations were alerted of by mail, each alert once (NOT-2).';
