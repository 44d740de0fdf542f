"""What billing holds of a month, read for acts and for the report: nothing here writes."""

from typing import Final

REFUSED: Final = """
SELECT purchase_id::text AS id FROM purchases
WHERE purchase_id = ANY($1::uuid[]) AND status IN ('blocked', 'failed', 'cancelled')
"""
STANDINGS: Final = """
SELECT subscription_id::text AS id, status, next_period::text, ended_at FROM subscription_standing
WHERE subscription_id = ANY($1::uuid[])
"""
CLOSES: Final = """
SELECT c.subscription_id::text AS id, to_char(c.period, 'YYYY-MM') AS period, c.total_minor, c.invoice_id::text,
    r.status, r.attempts, r.next_attempt_at, i.number
FROM period_close c LEFT JOIN receivable r USING (invoice_id) LEFT JOIN invoice i USING (invoice_id)
WHERE c.subscription_id = ANY($1::uuid[])
"""
LEFT_OPEN: Final = """
SELECT count(*) FROM subscription_standing
WHERE subscription_id = ANY($1::uuid[]) AND next_period <= ($2::text || '-01')::date
"""
RECEIVED: Final = "SELECT (SELECT count(*) FROM usage_event) + (SELECT count(*) FROM uncharged_usage)"
LATE_LINES: Final = """
SELECT count(*) FROM usage_line l JOIN receivable r USING (invoice_id)
WHERE l.used_in < r.period AND r.subscription_id = ANY($1::uuid[])
"""
INVOICES: Final = """
SELECT count(*) FROM invoice WHERE kind = 'subscription' AND subject_id = ANY($1::uuid[])
    AND to_char(supplied_at AT TIME ZONE 'Europe/Madrid', 'YYYY-MM') = ANY($2::text[])
"""
ATTEMPTS: Final = """
SELECT a.invoice_id::text, a.payment_id::text FROM charge_attempt a JOIN receivable r USING (invoice_id)
WHERE r.subscription_id = ANY($1::uuid[]) AND a.payment_id IS NOT NULL
"""
COLLECTIONS: Final = """
SELECT r.subscription_id::text AS id, to_char(r.period, 'YYYY-MM') AS period, c.settled_at
FROM collection c JOIN receivable r USING (invoice_id) WHERE r.subscription_id = ANY($1::uuid[])
"""
ENDS: Final = """
SELECT count(*) AS asked, count(done_at) AS done FROM service_end WHERE subscription_id = ANY($1::uuid[])
"""
DUE: Final = """
SELECT status, count(*) AS number, max(next_attempt_at) AS last, min(next_attempt_at) AS next FROM receivable
WHERE subscription_id = ANY($1::uuid[]) GROUP BY status
"""
LINKS: Final = """
SELECT DISTINCT ON (aggregateid) aggregateid AS subscription_id,
    convert_from(payload, 'UTF8')::jsonb ->> 'action_url' AS action_url
FROM chassis.outbox WHERE type = 'caas.billing.SubscriptionPaymentNeedsCustomer.v1' AND aggregateid = ANY($1::text[])
ORDER BY aggregateid, position DESC
"""
