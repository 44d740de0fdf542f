INSERT INTO account (code, kind) VALUES ('doubtful_receivables', 'asset');

ALTER TABLE fact DROP CONSTRAINT fact_kind_check;
ALTER TABLE fact ADD CONSTRAINT fact_kind_check CHECK (kind IN (
    'purchase_placed', 'payment_captured', 'sale_confirmed', 'capture_failed', 'settlement_failed',
    'payment_refunded', 'chargeback_received', 'invoice_issued', 'credit_note_issued',
    'vehicle_order_placed', 'reservation_invoiced', 'reservation_credited', 'reservation_forfeited',
    'collection_opened', 'collection_settled'
));
ALTER TABLE fact ALTER COLUMN payment_id DROP NOT NULL;
ALTER TABLE fact ADD CONSTRAINT only_a_collection_has_no_payment CHECK (payment_id IS NOT NULL OR kind = 'collection_opened');
