"""What would be billed, read and not written: the parts around the rating (SUB-8)."""

from typing import Final

MONTHS_BEHIND: Final = """
WITH due_period AS (
    -- Every month up to the one that is run: a subscription that is months behind is billed for each.
    SELECT t.subscription_id, month::date AS period
    FROM subscription_standing t
    CROSS JOIN LATERAL generate_series(t.next_period::timestamp, least($2::date::timestamp, greatest(
        t.next_period::timestamp,
        coalesce(date_trunc('month', (t.ended_at - interval '1 microsecond') AT TIME ZONE $1), 'infinity'))),
        interval '1 month') AS month
    WHERE t.shard = $3 AND t.next_period <= $2
),
"""

SUMS: Final = """
SELECT b.currency, count(*) AS periods, count(*) FILTER (WHERE b.total > 0) AS invoices,
    coalesce(sum(b.total) FILTER (WHERE b.total <= 1000000000000), 0)::bigint AS total,
    count(*) FILTER (WHERE b.total > 0 AND b.method_refused) AS not_charged,
    coalesce(sum(u.late) FILTER (WHERE b.total > 0), 0)::bigint AS late_uses,
    array_agg(b.subscription_id) FILTER (WHERE b.total > 1000000000000) AS too_large,
    (SELECT json_agg(big) FROM (
        SELECT g.subscription_id, g.customer_id, to_char(g.period, 'YYYY-MM') AS period, g.total AS total_minor
        FROM bill g WHERE g.currency = b.currency AND g.total BETWEEN 1 AND 1000000000000
        ORDER BY g.total DESC, g.subscription_id LIMIT $4) AS big) AS biggest
FROM bill b LEFT JOIN used u USING (subscription_id, period) GROUP BY b.currency
"""

LINES: Final = """
SELECT l.subscription_id, l.used_in, l.plan_code, l.kind, l.quantity, l.rate, l.total::bigint AS total_minor, b.currency
FROM line l JOIN bill b USING (subscription_id, period) WHERE b.total BETWEEN 1 AND 1000000000000
ORDER BY l.subscription_id, l.period, l.used_in DESC, l.tier LIMIT $4
"""
