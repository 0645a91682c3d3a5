-- A worker key is bound to one endpoint, and what its jobs cost stands here: a worker's own claims never reach the bill.
ALTER TABLE api_keys ADD COLUMN endpoint_id TEXT REFERENCES endpoints (id);
ALTER TABLE api_keys ADD COLUMN tier TEXT REFERENCES gpu_tiers (id);
ALTER TABLE api_keys ADD COLUMN rate_kind TEXT CHECK (rate_kind IN ('flex', 'active'));
-- All four or none: half a worker key would make the settings of its endpoint unreadable.
ALTER TABLE api_keys ADD COLUMN slots INTEGER CHECK (slots BETWEEN 1 AND 1000) CHECK (
  (endpoint_id IS NULL) = (tier IS NULL)
  AND (endpoint_id IS NULL) = (rate_kind IS NULL)
  AND (endpoint_id IS NULL) = (slots IS NULL)
);
CREATE INDEX worker_keys_of_endpoint ON api_keys (endpoint_id) WHERE endpoint_id IS NOT NULL;
