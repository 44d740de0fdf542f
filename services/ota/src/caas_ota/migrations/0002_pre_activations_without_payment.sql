-- A subscription's activation has no payment that waits for its result (SUB-1).
ALTER TABLE activation ALTER COLUMN payment_id DROP NOT NULL;
