-- Dead letters by a number of their tenant's own: the newest, the oldest and those beyond the bound are found by a key. Before,
-- each insert and each page read every letter of the tenant.
CREATE TABLE webhook_dead_letters_new (
  tenant_id TEXT NOT NULL,
  number INTEGER NOT NULL,
  webhook_id TEXT NOT NULL,
  endpoint_id TEXT NOT NULL,
  job_id TEXT NOT NULL,
  url TEXT NOT NULL,
  tries INTEGER NOT NULL,
  detail TEXT NOT NULL,
  given_up_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, number),
  UNIQUE (tenant_id, webhook_id)
) STRICT, WITHOUT ROWID;
INSERT INTO webhook_dead_letters_new (tenant_id, number, webhook_id, endpoint_id, job_id, url, tries, detail, given_up_at)
  SELECT tenant_id, row_number() OVER (PARTITION BY tenant_id ORDER BY given_up_at, webhook_id), webhook_id, endpoint_id, job_id,
    url, tries, detail, given_up_at FROM webhook_dead_letters;
DROP TABLE webhook_dead_letters;
ALTER TABLE webhook_dead_letters_new RENAME TO webhook_dead_letters;
