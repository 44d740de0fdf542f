-- Services that are paid before they are delivered (PLN-1, RSK-2): a liability until then.
INSERT INTO account (code, kind) VALUES ('customer_prepayments', 'liability');

ALTER TABLE fact DROP CONSTRAINT fact_kind_check;
ALTER TABLE fact ADD CONSTRAINT fact_kind_check CHECK (kind IN (
    'purchase_placed', 'payment_captured', 'sale_confirmed', 'prepayment_confirmed', 'capture_failed', 'settlement_failed',
    'payment_refunded', 'chargeback_received', 'invoice_issued', 'credit_note_issued',
    'vehicle_order_placed', 'reservation_invoiced', 'reservation_credited', 'reservation_forfeited',
    'collection_opened', 'collection_settled'
));
