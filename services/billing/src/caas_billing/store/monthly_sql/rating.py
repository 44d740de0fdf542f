"""Rates many subscriptions at once: the same lines as `domain/rating.py`, to the cent, made where the use is stored.

Parts of statements, which `closing` writes with and `preview` reads with. `$1` names the billing time zone. A part
that defines `due_period (subscription_id, period)` comes first; `bill` and `line` come out.
"""

from typing import Final

_TERMS: Final = """
due AS MATERIALIZED (
    SELECT s.*, p.period, t.ended_at, t.status, t.payment_method, t.method_refused,
        (p.period + interval '1 month')::date AS following,
        (p.period + interval '1 month') AT TIME ZONE $1 AS ends_at,
        (p.period + interval '1 month')::date - p.period AS days_in_month,
        -- Calendar days with any service (SUB-3); one that ends at midnight did not run on the day that begins then.
        CASE WHEN t.ended_at <= s.started_at THEN 0 ELSE greatest(0,
            least((p.period + interval '1 month')::date - 1,
                ((t.ended_at - interval '1 microsecond') AT TIME ZONE $1)::date)
            - greatest(p.period, (s.started_at AT TIME ZONE $1)::date) + 1) END AS days_run
    FROM due_period p JOIN subscription_standing t USING (subscription_id) JOIN subscription s USING (subscription_id)
),
"""

_USED: Final = """
used AS MATERIALIZED (
    -- Use that was stored before its subscription's end was heard of may lie behind it: nobody pays it (SUB-7).
    -- The days with use are bits of a number: counted in one pass, without sorting.
    SELECT subscription_id, d.period, sum(u.quantity) FILTER (WHERE u.used_on >= d.period) AS quantity,
        bit_or(1 << (u.used_on - d.period)) FILTER (WHERE u.used_on >= d.period) AS days,
        count(*) FILTER (WHERE u.used_on >= d.period) AS events,
        count(*) FILTER (WHERE u.used_on < d.period) AS late
    FROM due d JOIN usage_event u USING (subscription_id, period)
    WHERE u.occurred_at < coalesce(d.ended_at, 'infinity')
    GROUP BY subscription_id, d.period
),
late AS MATERIALIZED (
    SELECT l.*, coalesce(b.quantity, 0) AS quantity_before, coalesce(b.days, 0) AS days_before
    FROM (
        SELECT u.subscription_id, u.period, m.used_in, sum(u.quantity) AS quantity,
            bit_or(1 << (u.used_on - m.used_in)) AS days, count(*) AS events
        FROM used JOIN due d USING (subscription_id, period) JOIN usage_event u USING (subscription_id, period)
        CROSS JOIN LATERAL (SELECT date_trunc('month', u.used_on)::date AS used_in) m
        WHERE used.late > 0 AND u.used_on < u.period AND u.occurred_at < coalesce(d.ended_at, 'infinity')
        GROUP BY u.subscription_id, u.period, m.used_in
    ) l
    -- Use of that month which was billed before: late use costs what it would have cost in time.
    CROSS JOIN LATERAL (
        SELECT sum(e.quantity) AS quantity, bit_or(1 << (e.used_on - l.used_in)) AS days
        FROM usage_event e
        WHERE e.subscription_id = l.subscription_id AND e.period < l.period
            AND e.used_on >= l.used_in AND e.used_on < l.used_in + interval '1 month'
    ) b
),
"""

_LINES: Final = """
amount AS MATERIALIZED (
    SELECT d.subscription_id, d.period, d.period AS used_in, d.plan_code, d.plan_version AS agreed, d.days_run,
        d.days_in_month, coalesce(u.quantity, 0) AS quantity, 0::numeric AS quantity_before,
        bit_count(coalesce(u.days, 0)::bit(32))::integer AS days, coalesce(u.events, 0) AS events
    FROM due d LEFT JOIN used u USING (subscription_id, period)
    UNION ALL
    SELECT d.subscription_id, d.period, l.used_in, d.plan_code, d.plan_version, 0, 0, l.quantity, l.quantity_before,
        bit_count((l.days & ~l.days_before)::bit(32))::integer, l.events
    FROM due d JOIN late l USING (subscription_id, period)
),
term AS MATERIALIZED (
    SELECT k.agreed, k.used_in, p.*
    FROM (SELECT DISTINCT plan_code, agreed, used_in FROM amount) k
    JOIN rate_plan p ON p.plan_code = k.plan_code AND p.version = greatest(k.agreed,
        (SELECT max(v.version) FROM rate_plan v WHERE v.plan_code = k.plan_code AND v.effective_from <= k.used_in))
),
line AS MATERIALIZED (
    SELECT a.subscription_id, a.period, a.used_in, t.kind, t.plan_code, t.version, NULL::integer AS tier, t.unit,
        CASE t.kind WHEN 'per_use' THEN a.quantity WHEN 'per_day_used' THEN a.days ELSE 1 END AS quantity, t.rate,
        CASE t.kind WHEN 'per_day_used' THEN a.days WHEN 'flat_monthly' THEN a.days_run END AS days,
        CASE t.kind WHEN 'flat_monthly' THEN a.days_in_month END AS days_in_month, a.events,
        CASE t.kind
            WHEN 'per_use' THEN round(a.quantity * t.rate)
            WHEN 'per_day_used' THEN round(a.days * t.rate)
            -- A quotient with its digits cut off could be rounded twice: whole division is exact.
            ELSE div(2 * a.days_run * t.rate + a.days_in_month, 2 * a.days_in_month) END AS total
    FROM amount a JOIN term t USING (plan_code, agreed, used_in)
    WHERE CASE t.kind WHEN 'tiered' THEN false WHEN 'flat_monthly' THEN a.days_run > 0 ELSE a.events > 0 END
    UNION ALL
    SELECT a.subscription_id, a.period, a.used_in, t.kind, t.plan_code, t.version, r.tier, t.unit, p.part, r.rate,
        NULL, NULL, a.events, round(p.part * r.rate)
    FROM amount a JOIN term t USING (plan_code, agreed, used_in)
    JOIN rate_tier r ON r.plan_code = t.plan_code AND r.version = t.version
    CROSS JOIN LATERAL (SELECT greatest(0, least(a.quantity_before + a.quantity, r.up_to)
        - greatest(a.quantity_before, r.above)) AS part) p
    -- Use of no quantity shows in the step that it stands in.
    WHERE a.events > 0 AND (p.part > 0 OR (a.quantity = 0 AND r.above <= a.quantity_before
        AND (r.up_to IS NULL OR a.quantity_before < r.up_to)))
),
bill AS MATERIALIZED (
    SELECT d.*, coalesce(l.total, 0) AS total
    FROM due d
    LEFT JOIN (SELECT subscription_id, period, sum(total) AS total FROM line GROUP BY 1, 2) l
        USING (subscription_id, period)
)
"""

RATED: Final = f"{_TERMS}{_USED}{_LINES}"
