CREATE TABLE applied (
    activation_id uuid PRIMARY KEY,
    vehicle_id text NOT NULL,
    told int NOT NULL DEFAULT 0,
    expired boolean NOT NULL DEFAULT false,
    n bigint GENERATED ALWAYS AS IDENTITY
);
COMMENT ON TABLE applied IS 'What the toy has applied: a second application would violate the key.';
