CREATE TABLE audit_anchor (
    service text NOT NULL,
    sequence bigint NOT NULL CHECK (sequence > 0),
    hash bytea NOT NULL CHECK (length(hash) = 32),
    entries bigint NOT NULL CHECK (entries > 0),
    anchored_at timestamptz NOT NULL,
    message_id text NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (service, sequence, hash)
);
COMMENT ON TABLE audit_anchor IS
    'Heads of other services'' audit logs (PAY-4): a second witness, insert-only; two hashes of one entry are both kept.';
CREATE TRIGGER audit_anchor_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_anchor
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
