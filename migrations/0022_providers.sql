-- Providers of machines, each of one tenant. offers: JSON [{"gpuTypeId", "priceNanodollarsPerHour"}]. is_default: of endpoints that name
-- none.
CREATE TABLE providers (
  id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('none', 'webhook', 'runpod', 'local')),
  url TEXT,
  sealed_credential TEXT,
  offers TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(offers)),
  is_default INTEGER NOT NULL DEFAULT 0 CHECK (is_default IN (0, 1)),
  version INTEGER NOT NULL DEFAULT 1,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX providers_of_tenant ON providers (tenant_id, created_at, id);
