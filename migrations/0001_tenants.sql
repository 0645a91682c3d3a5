-- Who may call and what they call. Written by the management side alone.
CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tenants (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  waiting_max INTEGER NOT NULL CHECK (waiting_max >= 0),
  sealed_webhook_secret TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- digest: HMAC-SHA-256(pepper, whole key) in hex. The key itself is never stored.
CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  digest TEXT NOT NULL CHECK (length(digest) = 64),
  scopes TEXT NOT NULL,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  revoked_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE endpoints (
  id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  slug TEXT NOT NULL UNIQUE,
  shared INTEGER NOT NULL DEFAULT 0 CHECK (shared IN (0, 1)),
  kind TEXT NOT NULL DEFAULT 'queue' CHECK (kind IN ('queue', 'load_balancer')),
  version INTEGER NOT NULL DEFAULT 1,
  paused INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
  max_attempts INTEGER NOT NULL DEFAULT 2,
  execution_timeout_ms INTEGER NOT NULL DEFAULT 600000,
  ttl_ms INTEGER NOT NULL DEFAULT 86400000,
  run_retention_ms INTEGER NOT NULL DEFAULT 1800000,
  runsync_retention_ms INTEGER NOT NULL DEFAULT 60000,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE upstreams (
  id TEXT PRIMARY KEY,
  endpoint_id TEXT NOT NULL REFERENCES endpoints (id),
  url TEXT NOT NULL,
  dialect TEXT NOT NULL CHECK (dialect IN ('runpod', 'http')),
  local INTEGER NOT NULL DEFAULT 0 CHECK (local IN (0, 1)),
  slots INTEGER NOT NULL CHECK (slots BETWEEN 1 AND 1000),
  tier TEXT NOT NULL REFERENCES gpu_tiers (id),
  rate_kind TEXT NOT NULL CHECK (rate_kind IN ('flex', 'active')),
  sealed_credential TEXT,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX upstreams_of_endpoint ON upstreams (endpoint_id);

CREATE TABLE gpu_tiers (
  id TEXT PRIMARY KEY,
  title TEXT NOT NULL,
  vram_gb INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A price holds from effective_from until the next row of its tier and kind; rows are added, never changed.
CREATE TABLE gpu_rates (
  tier TEXT NOT NULL REFERENCES gpu_tiers (id),
  kind TEXT NOT NULL CHECK (kind IN ('flex', 'active')),
  effective_from INTEGER NOT NULL,
  nanodollars_per_second INTEGER NOT NULL CHECK (nanodollars_per_second >= 0),
  PRIMARY KEY (tier, kind, effective_from)
) STRICT, WITHOUT ROWID;

INSERT INTO gpu_tiers (id, title, vram_gb) VALUES
  ('a4000', 'A4000 / A4500 / RTX 4000', 16),
  ('l4', 'L4 / A5000 / 3090', 24),
  ('4090-pro', '4090 PRO', 24),
  ('l40s', 'L40 / L40S / 6000 Ada PRO', 48),
  ('a6000', 'A6000 / A40', 48),
  ('a100', 'A100', 80),
  ('h100-pro', 'H100 PRO', 80),
  ('h200-pro', 'H200 PRO', 141),
  ('b200', 'B200', 180);

INSERT INTO gpu_rates (tier, kind, effective_from, nanodollars_per_second) VALUES
  ('a4000', 'flex', 0, 160000), ('a4000', 'active', 0, 110000),
  ('l4', 'flex', 0, 190000), ('l4', 'active', 0, 130000),
  ('4090-pro', 'flex', 0, 310000), ('4090-pro', 'active', 0, 210000),
  ('l40s', 'flex', 0, 530000), ('l40s', 'active', 0, 370000),
  ('a6000', 'flex', 0, 340000), ('a6000', 'active', 0, 240000),
  ('a100', 'flex', 0, 760000), ('a100', 'active', 0, 600000),
  ('h100-pro', 'flex', 0, 1160000), ('h100-pro', 'active', 0, 930000),
  ('h200-pro', 'flex', 0, 1550000), ('h200-pro', 'active', 0, 1240000),
  ('b200', 'flex', 0, 2400000), ('b200', 'active', 0, 1900000);
