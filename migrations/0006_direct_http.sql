-- Upstreams that speak OpenAI's API. A CHECK cannot be changed in place, so the table is made anew.
CREATE TABLE upstreams_new (
  id TEXT PRIMARY KEY,
  endpoint_id TEXT NOT NULL REFERENCES endpoints (id),
  url TEXT NOT NULL,
  dialect TEXT NOT NULL CHECK (dialect IN ('runpod', 'http', 'openai')),
  local INTEGER NOT NULL DEFAULT 0 CHECK (local IN (0, 1)),
  slots INTEGER NOT NULL CHECK (slots BETWEEN 1 AND 1000),
  tier TEXT NOT NULL REFERENCES gpu_tiers (id),
  rate_kind TEXT NOT NULL CHECK (rate_kind IN ('flex', 'active')),
  sealed_credential TEXT,
  created_at INTEGER NOT NULL,
  enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1))
) STRICT, WITHOUT ROWID;
INSERT INTO upstreams_new (id, endpoint_id, url, dialect, local, slots, tier, rate_kind, sealed_credential, created_at, enabled)
  SELECT id, endpoint_id, url, dialect, local, slots, tier, rate_kind, sealed_credential, created_at, enabled FROM upstreams;
DROP TABLE upstreams;
ALTER TABLE upstreams_new RENAME TO upstreams;
CREATE INDEX upstreams_of_endpoint ON upstreams (endpoint_id);

-- What one request through a load-balanced endpoint may carry each way: 30 MiB as at RunPod, up to 100.
ALTER TABLE endpoints ADD COLUMN body_max_bytes INTEGER NOT NULL DEFAULT 31457280
  CHECK (body_max_bytes BETWEEN 1 AND 104857600);

-- Jobs are billed by the second, load-balanced requests by 100 ms: what the amount was made of. Null in older lines.
ALTER TABLE usage_lines ADD COLUMN billed_ms INTEGER CHECK (billed_ms >= 0);
-- Tokens of a job that went through an OpenAI route; all null for any other.
ALTER TABLE usage_lines ADD COLUMN prompt_tokens INTEGER CHECK (prompt_tokens >= 0);
ALTER TABLE usage_lines ADD COLUMN completion_tokens INTEGER CHECK (completion_tokens >= 0);
-- 1: the worker did not tell, so they were counted by what was sent.
ALTER TABLE usage_lines ADD COLUMN tokens_estimated INTEGER CHECK (tokens_estimated IN (0, 1));
