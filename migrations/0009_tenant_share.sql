-- Percent of an endpoint's rows and bytes that one tenant may keep. Null: all of an endpoint that is its owner's alone, a quarter of
-- a shared one. Brokers of shared ones are to learn of it.
ALTER TABLE endpoints ADD COLUMN tenant_share_percent INTEGER CHECK (tenant_share_percent BETWEEN 1 AND 100);
UPDATE endpoints SET version = version + 1 WHERE shared = 1;
