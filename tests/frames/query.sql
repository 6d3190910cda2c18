SELECT s.region, count(*) AS n, sum(s.amount * 1.08) AS total, max(s.day) AS last
FROM sales AS s LEFT JOIN sales r ON s.sku = r.sku
WHERE s.day BETWEEN '2024-02-29' AND '2025-01-31' AND NOT s.member AND (s.sku IN (1, 2, 3) OR s.region IS NOT NULL)
GROUP BY s.region
