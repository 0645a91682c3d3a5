-- Webhooks that were given up: kept 30 days, so that their tenant can see what was missed.
CREATE TABLE webhook_dead_letters (
  tenant_id TEXT NOT NULL,
  webhook_id TEXT NOT NULL,
  endpoint_id TEXT NOT NULL,
  job_id TEXT NOT NULL,
  url TEXT NOT NULL,
  tries INTEGER NOT NULL,
  detail TEXT NOT NULL,
  given_up_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, webhook_id)
) STRICT, WITHOUT ROWID;
