CREATE TABLE vehicle_orders (
    order_id uuid PRIMARY KEY,
    customer_id text NOT NULL REFERENCES customers,
    model text NOT NULL,
    options text[] NOT NULL,
    dealership text NOT NULL,
    total_minor bigint NOT NULL,
    reservation_minor bigint NOT NULL CHECK (reservation_minor > 0 AND reservation_minor < total_minor),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    vat_rate_bp integer NOT NULL CHECK (vat_rate_bp BETWEEN 0 AND 10000),
    catalogue_version integer NOT NULL,
    status text NOT NULL CHECK (status IN ('reserving', 'declined', 'reserved', 'ordered', 'built', 'ready', 'paying',
        'payment_failed', 'paid', 'registering', 'registered', 'delivery_scheduled', 'delivered')),
    reservation_payment_id uuid NOT NULL UNIQUE,
    requested_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    reason text NOT NULL,
    problem text NOT NULL,
    vehicle_id text,
    factory_order_id text UNIQUE,
    estimated_delivery_on date,
    estimated_at timestamptz,
    pay_before timestamptz,
    final_attempts integer NOT NULL CHECK (final_attempts >= 0),
    final_payment_id uuid UNIQUE,
    paid_at timestamptz,
    submission integer NOT NULL CHECK (submission >= 0),
    plates text,
    booking_id text,
    delivery_on date,
    delivered_at timestamptz,
    version integer NOT NULL CHECK (version > 0),
    CONSTRAINT ready_is_at_the_dealership CHECK (status NOT IN ('ready', 'paying')
        OR (vehicle_id IS NOT NULL AND pay_before IS NOT NULL)),
    -- FIN-3: nothing is registered or delivered that is not paid, and what is forfeited was never paid.
    CONSTRAINT handed_over_is_paid CHECK ((paid_at IS NOT NULL)
        = (status IN ('paid', 'registering', 'registered', 'delivery_scheduled', 'delivered'))),
    CONSTRAINT registered_has_plates CHECK ((plates IS NOT NULL)
        = (status IN ('registered', 'delivery_scheduled', 'delivered'))),
    CONSTRAINT delivered_has_an_instant CHECK ((delivered_at IS NOT NULL) = (status = 'delivered')),
    CONSTRAINT payment_of_an_attempt CHECK ((final_payment_id IS NOT NULL) = (final_attempts > 0))
) WITH (fillfactor = 75);
COMMENT ON TABLE vehicle_orders IS 'Orders of vehicles from the reservation to the delivery; declined ones are only the logged attempt (RES-3).';
COMMENT ON COLUMN vehicle_orders.final_payment_id IS 'The newest attempt of the final payment: the only one whose answer counts.';
CREATE INDEX vehicle_orders_of_customer ON vehicle_orders (customer_id, order_id);
-- A vehicle belongs to one order at most among those that have not ended without it.
CREATE UNIQUE INDEX one_order_per_vehicle ON vehicle_orders (vehicle_id)
    WHERE vehicle_id IS NOT NULL AND status NOT IN ('declined', 'payment_failed');

CREATE TABLE stock_vehicles (
    vehicle_id text PRIMARY KEY,
    model text NOT NULL,
    options text[] NOT NULL,
    dealership text NOT NULL,
    total_minor bigint NOT NULL,
    reservation_minor bigint NOT NULL CHECK (reservation_minor > 0 AND reservation_minor < total_minor),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    vat_rate_bp integer NOT NULL CHECK (vat_rate_bp BETWEEN 0 AND 10000),
    catalogue_version integer NOT NULL,
    status text NOT NULL CHECK (status IN ('assigned', 'sin_asignar', 'available_stock', 'reserved', 'sold')),
    order_id uuid UNIQUE,
    customer_id text,
    updated_at timestamptz NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    CONSTRAINT held_by_an_order CHECK ((order_id IS NOT NULL) = (status IN ('assigned', 'reserved', 'sold'))),
    CONSTRAINT held_by_a_customer CHECK ((customer_id IS NOT NULL) = (order_id IS NOT NULL))
);
COMMENT ON TABLE stock_vehicles IS 'Vehicles that exist, and the one order that has each; on sale when none does (FIN-4, RES-6).';
CREATE INDEX stock_on_sale ON stock_vehicles (model, vehicle_id) WHERE status = 'available_stock';

CREATE TABLE vehicle_assignments (
    assignment_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    vehicle_id text NOT NULL REFERENCES stock_vehicles,
    status text NOT NULL,
    order_id uuid,
    customer_id text,
    reason text NOT NULL,
    since timestamptz NOT NULL
);
COMMENT ON TABLE vehicle_assignments IS 'Who had which vehicle from when on, and why it changed; rows are only added.';
CREATE INDEX vehicle_assignments_of_vehicle ON vehicle_assignments (vehicle_id, assignment_id);

CREATE TABLE invitations (
    token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    order_id uuid NOT NULL UNIQUE REFERENCES vehicle_orders,
    customer_id text NOT NULL REFERENCES customers,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
COMMENT ON TABLE invitations IS 'Links to the platform, single use and expiring (RES-2); only a hash of each is kept.';

-- Notifications are about a purchase or about a vehicle order; some occasions of an order come more than once.
ALTER TABLE notifications ALTER COLUMN purchase_id DROP NOT NULL;
ALTER TABLE notifications ADD COLUMN order_id uuid REFERENCES vehicle_orders;
ALTER TABLE notifications ADD COLUMN occasion text NOT NULL DEFAULT '';
ALTER TABLE notifications ADD CONSTRAINT about_one_thing CHECK ((purchase_id IS NULL) <> (order_id IS NULL));
ALTER TABLE notifications DROP CONSTRAINT notifications_kind_check;
ALTER TABLE notifications ADD CONSTRAINT notifications_kind_check CHECK (CASE WHEN order_id IS NULL
    THEN kind IN ('activated', 'failed_not_charged', 'declined', 'blocked_maintenance', 'cancelled', 'invoice_issued')
    ELSE kind ~ '^order_[a-z_]+$' END);
CREATE UNIQUE INDEX told_once_per_order ON notifications (order_id, kind, occasion) WHERE order_id IS NOT NULL;
