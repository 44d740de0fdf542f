CREATE TABLE vehicle (
    vehicle_id text PRIMARY KEY,
    customer_id text,
    model text,
    public_key text,
    counter bigint NOT NULL DEFAULT 0 CHECK (counter >= 0),
    arrivals bigint NOT NULL DEFAULT 0 CHECK (arrivals >= 0),
    reported jsonb NOT NULL DEFAULT '{}',
    reported_at timestamptz
) WITH (fillfactor = 70);
COMMENT ON TABLE vehicle IS
    'Vehicles with their Ed25519 key (null until registered), the counter of their commands and what they last reported. The row lock serialises everything that happens to one vehicle.';

CREATE TABLE acknowledgement (
    acknowledgement_id uuid PRIMARY KEY,
    vehicle_id text NOT NULL,
    command_id uuid,
    activation_id uuid,
    status text NOT NULL,
    verified boolean NOT NULL,
    refusal text,
    raw text NOT NULL,
    arrived_at timestamptz NOT NULL,
    CHECK (verified = (refusal IS NULL)),
    UNIQUE (acknowledgement_id, verified)
);
CREATE INDEX acknowledgement_activation ON acknowledgement (activation_id);
CREATE INDEX acknowledgement_refused ON acknowledgement (arrived_at) WHERE NOT verified;
COMMENT ON TABLE acknowledgement IS
    'Results as the vehicles signed them, and whatever was refused, with the reason. Insert-only.';

CREATE TABLE activation (
    activation_id uuid PRIMARY KEY,
    purchase_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    vehicle_id text NOT NULL REFERENCES vehicle,
    service_code text NOT NULL,
    configuration jsonb NOT NULL,
    not_after timestamptz NOT NULL,
    requested_at timestamptz NOT NULL,
    cause_id text NOT NULL,
    correlation_id text NOT NULL,
    traceparent text,
    status text NOT NULL CHECK (status IN ('requested', 'sent', 'applied', 'failed', 'cancelled', 'applied_late')),
    cancel_reason text,
    failure_reason text,
    ground text CHECK (ground IN ('verified_rejection', 'verified_cancellation', 'deadline_passed')),
    uncertain boolean NOT NULL DEFAULT false,
    evidence_id uuid,
    evidence_verified boolean NOT NULL DEFAULT true CHECK (evidence_verified),
    applied_at timestamptz,
    finished_at timestamptz,
    deactivated_at timestamptz,
    support_case_id uuid,
    FOREIGN KEY (evidence_id, evidence_verified) REFERENCES acknowledgement (acknowledgement_id, verified),
    CHECK ((status IN ('applied', 'applied_late')) = (evidence_id IS NOT NULL)),
    CHECK (status NOT IN ('failed', 'cancelled', 'applied_late') OR ground IS NOT NULL),
    CHECK (status <> 'applied' OR applied_at <= not_after),
    CHECK ((status IN ('requested', 'sent')) = (finished_at IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX activation_vehicle ON activation (vehicle_id, requested_at);
COMMENT ON TABLE activation IS
    'One service to be applied in one vehicle. Applied only with a stored, verified acknowledgement as evidence (SVC-6).';

CREATE TABLE deactivation (
    deactivation_id uuid PRIMARY KEY,
    activation_id uuid NOT NULL REFERENCES activation,
    vehicle_id text NOT NULL REFERENCES vehicle,
    reason text NOT NULL,
    requested_at timestamptz NOT NULL,
    cause_id text NOT NULL,
    correlation_id text NOT NULL,
    traceparent text,
    status text NOT NULL CHECK (status IN ('requested', 'sent', 'delayed', 'done')),
    delayed_at timestamptz,
    done_at timestamptz,
    CHECK ((status = 'done') = (done_at IS NOT NULL))
);
CREATE INDEX deactivation_activation ON deactivation (activation_id);
CREATE INDEX deactivation_open ON deactivation (requested_at) WHERE status <> 'done';
COMMENT ON TABLE deactivation IS 'The work list of deactivations: open until the vehicle proves that it is done (OTA-4).';

CREATE TABLE command (
    command_id uuid PRIMARY KEY,
    vehicle_id text NOT NULL REFERENCES vehicle,
    activation_id uuid NOT NULL REFERENCES activation,
    deactivation_id uuid REFERENCES deactivation,
    kind text NOT NULL CHECK (kind IN ('activate', 'deactivate', 'cancel', 'status')),
    state text NOT NULL CHECK (state IN ('queued', 'in_flight', 'answered', 'unanswered', 'superseded')),
    position bigint NOT NULL CHECK (position > 0),
    attempt int NOT NULL CHECK (attempt > 0),
    nonce text,
    counter bigint,
    sent_at timestamptz[] NOT NULL,
    received_at timestamptz,
    answered_at timestamptz,
    outcome text,
    CHECK ((kind = 'deactivate') = (deactivation_id IS NOT NULL)),
    CHECK ((counter IS NULL) = (nonce IS NULL)),
    CHECK (state <> 'queued' OR counter IS NULL),
    CHECK (state IN ('queued', 'superseded') OR counter IS NOT NULL),
    CHECK ((state = 'answered') = (outcome IS NOT NULL)),
    UNIQUE (vehicle_id, counter)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX command_in_flight ON command (vehicle_id) WHERE state = 'in_flight';
CREATE INDEX command_open ON command (vehicle_id) WHERE state IN ('queued', 'in_flight');
CREATE INDEX command_activation ON command (activation_id);
COMMENT ON TABLE command IS
    'Commands to vehicles. At most one is in flight per vehicle (OTA-6); the counter rises per vehicle.';

CREATE TABLE support_case (
    support_case_id uuid PRIMARY KEY,
    activation_id uuid NOT NULL UNIQUE REFERENCES activation,
    vehicle_id text NOT NULL REFERENCES vehicle,
    reason text NOT NULL,
    attempts jsonb NOT NULL,
    opened_at timestamptz NOT NULL,
    vehicle_status jsonb,
    vehicle_status_at timestamptz
);
CREATE INDEX support_case_opened ON support_case (opened_at);
COMMENT ON TABLE support_case IS
    'Failed activations for technical support: the attempts, and the vehicle''s configuration once it answered (SVC-5).';
