-- The record of usage. Only TenantAccount writes it. No index beside the key: each entry is one more billed row.
CREATE TABLE usage_lines (
  tenant_id TEXT NOT NULL,
  source TEXT NOT NULL,
  seq INTEGER NOT NULL,
  endpoint_id TEXT NOT NULL,
  job_id TEXT NOT NULL,
  tier TEXT NOT NULL,
  rate_kind TEXT NOT NULL CHECK (rate_kind IN ('flex', 'active')),
  slots INTEGER NOT NULL CHECK (slots >= 1),
  nanodollars_per_second INTEGER NOT NULL,
  seconds INTEGER NOT NULL CHECK (seconds >= 0),
  amount_nanodollars INTEGER NOT NULL CHECK (amount_nanodollars >= 0),
  started_at INTEGER NOT NULL,
  finished_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, source, seq)
) STRICT, WITHOUT ROWID;

-- How far each broker's lines of a tenant are in usage_lines.
CREATE TABLE posted (
  tenant_id TEXT NOT NULL,
  broker TEXT NOT NULL,
  through INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, broker)
) STRICT, WITHOUT ROWID;
