CREATE TABLE billable_vehicle_order (
    order_id uuid PRIMARY KEY,
    -- From VehicleOrderPlaced; all null until it arrives.
    customer_id text,
    customer_name text,
    customer_email text,
    customer_tax_id text,
    customer_language text,
    model text,
    model_name text,
    options text[],
    dealership text,
    currency text CHECK (currency ~ '^[A-Z]{3}$'),
    total_minor bigint CHECK (total_minor > 0),
    reservation_minor bigint CHECK (reservation_minor BETWEEN 0 AND total_minor),
    vat_rate_bp integer CHECK (vat_rate_bp BETWEEN 0 AND 10000),
    -- From VehicleOrderReserved and VehicleOrderPaid: the payments that orders counts.
    reservation_payment_id uuid UNIQUE,
    final_payment_id uuid UNIQUE,
    -- From VehicleRegisteredForTraffic.
    vin text,
    plates text,
    registered_at timestamptz,
    CONSTRAINT order_is_whole CHECK (
        num_nulls(customer_id, customer_name, customer_email, customer_language, model, model_name, options, dealership,
            currency, total_minor, reservation_minor, vat_rate_bp) IN (0, 12)),
    CONSTRAINT registration_is_whole CHECK (num_nulls(vin, plates, registered_at) IN (0, 3))
);
COMMENT ON TABLE billable_vehicle_order IS
    'What orders says of a vehicle order. Its row is locked while its facts, and those of its payments, are written.';

CREATE TABLE vehicle_payment (
    payment_id uuid PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES billable_vehicle_order,
    paid_minor bigint NOT NULL CHECK (paid_minor >= 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    paid_at timestamptz NOT NULL,
    refunded_minor bigint NOT NULL DEFAULT 0,
    -- PAY-8: what is given back never passes what was paid.
    CONSTRAINT refunds_within_payment CHECK (refunded_minor BETWEEN 0 AND paid_minor)
);
CREATE INDEX vehicle_payment_of_order ON vehicle_payment (order_id);
COMMENT ON TABLE vehicle_payment IS
    'Reservations and final payments that payments has confirmed; those that orders counts are invoiced (INV-1).';
