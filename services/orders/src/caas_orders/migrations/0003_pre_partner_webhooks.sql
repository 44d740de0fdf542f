CREATE TABLE partner_webhooks (
    partner text NOT NULL CHECK (partner IN ('factory', 'registration', 'transport')),
    webhook_id text NOT NULL,
    event_type text NOT NULL,
    reference text NOT NULL,
    body text NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (partner, webhook_id)
);
CREATE INDEX partner_webhooks_by_reference ON partner_webhooks (reference);
COMMENT ON TABLE partner_webhooks IS
    'Verified webhooks of factory, administration and transport as they came, applied in the same transaction; '
    'a webhook that is delivered again is found here and changes nothing.';
