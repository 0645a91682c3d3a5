-- Who has set the price of an upstream: a tenant must not change what an operator bills it for the operator's machines. Those that are
-- there were added by operators, who alone could until now.
ALTER TABLE upstreams ADD COLUMN priced_by_operator INTEGER NOT NULL DEFAULT 1 CHECK (priced_by_operator IN (0, 1));
