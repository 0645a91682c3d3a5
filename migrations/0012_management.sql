-- What the management API keeps: settings that a fleet of workers will need, templates, releases, who changed what, and versions of rows
-- by which of two writers the second one learns that it is the second.

-- The first words of RunPod's management paths (/v2/serverless) are no endpoint's name. One that has such a slug keeps its id, and gets a
-- free slug in its place; the audit says so.
CREATE TABLE audit_lines (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  -- The key that was used; null: a migration or the command line on the database itself.
  key_id TEXT,
  action TEXT NOT NULL,
  object_id TEXT NOT NULL,
  -- JSON: [{"field", "old", "new"}], never with a secret.
  changes TEXT NOT NULL,
  request_id TEXT
) STRICT;
CREATE INDEX audit_of_tenant ON audit_lines (tenant_id, number);

CREATE TABLE renamed_slugs AS
  SELECT id, tenant_id, slug AS old_slug, slug || '-' || id AS new_slug FROM endpoints WHERE lower(slug) IN (
    'account', 'pods', 'clusters', 'serverless', 'templates', 'network-volumes', 'global-volumes', 'registries', 'catalog', 'billing',
    'tags', 'flash', 'batch'
  );
UPDATE endpoints SET slug = renamed_slugs.new_slug FROM renamed_slugs WHERE endpoints.id = renamed_slugs.id;
INSERT INTO audit_lines (tenant_id, at, action, object_id, changes)
  SELECT tenant_id, unixepoch() * 1000, 'endpoint.update', id,
    json_array(json_object('field', 'slug', 'old', old_slug, 'new', new_slug)) FROM renamed_slugs;
DROP TABLE renamed_slugs;

ALTER TABLE tenants ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
CREATE INDEX tenants_by_age ON tenants (created_at, id);

-- endpoint_ids: JSON array of the only endpoints that the key opens; null: all of its tenant's.
ALTER TABLE api_keys ADD COLUMN endpoint_ids TEXT;
ALTER TABLE api_keys ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
CREATE INDEX keys_of_tenant ON api_keys (tenant_id, created_at, id);
CREATE INDEX keys_by_age ON api_keys (created_at, id);

ALTER TABLE upstreams ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE upstreams ADD COLUMN version INTEGER NOT NULL DEFAULT 1;

-- fleet: JSON of what workers are started with and how many there are (src/contract/manage/fleet.ts). sealed_env: the environment of
-- workers, sealed as one JSON text. release: the number of the newest release, 1 at first.
ALTER TABLE endpoints ADD COLUMN fleet TEXT NOT NULL DEFAULT '{}';
ALTER TABLE endpoints ADD COLUMN sealed_env TEXT;
ALTER TABLE endpoints ADD COLUMN release INTEGER NOT NULL DEFAULT 1;
ALTER TABLE endpoints ADD COLUMN template_id TEXT;
CREATE INDEX endpoints_of_tenant ON endpoints (tenant_id, created_at, id);
CREATE INDEX endpoints_by_age ON endpoints (created_at, id);
CREATE INDEX endpoints_of_template ON endpoints (template_id) WHERE template_id IS NOT NULL;

-- settings: JSON of everything else (src/contract/manage/template.ts); the environment is sealed as an endpoint's is.
CREATE TABLE templates (
  id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL,
  settings TEXT NOT NULL,
  sealed_env TEXT,
  version INTEGER NOT NULL DEFAULT 1,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX templates_of_tenant ON templates (tenant_id, created_at, id);

-- A release is a version of what a worker is started with. diff: JSON [{"field", "old", "new"}].
CREATE TABLE releases (
  endpoint_id TEXT NOT NULL REFERENCES endpoints (id),
  number INTEGER NOT NULL,
  id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  key_id TEXT,
  diff TEXT NOT NULL,
  PRIMARY KEY (endpoint_id, number)
) STRICT, WITHOUT ROWID;

-- Creations by Idempotency-Key, a day each.
CREATE TABLE creations (
  tenant_id TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  object_id TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, idempotency_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX creations_by_end ON creations (expires_at);

-- No row can be inserted: a statement that does so ends its batch, which is how a change that expects a version is undone.
CREATE TABLE unmet_expectations (expectation TEXT NOT NULL CONSTRAINT unmet_expectation CHECK (expectation IS NULL)) STRICT;
