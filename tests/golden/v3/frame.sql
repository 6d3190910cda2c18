SELECT sku, region, amount FROM sales WHERE sku > 1
