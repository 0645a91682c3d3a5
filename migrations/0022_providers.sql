-- Who gives the machines of a tenant's fleets. kind: src/contract/fleet.ts. url: where it is called; null: it is not, or at its vendor's
-- own host. sealed_credential: what signs or opens calls. offers: JSON of the machines that it has, with their prices. is_default: endpoints
-- that name no provider use it. priced_by_operator: the offers are an operator's, and set what the tenant is billed. deleted_at: since when
-- no caller finds it; the row is kept for as long as a machine may live that was had of it, so that each can still be ended.
CREATE TABLE providers (
  id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('none', 'webhook', 'runpod', 'local')),
  url TEXT,
  sealed_credential TEXT,
  offers TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(offers)),
  is_default INTEGER NOT NULL DEFAULT 0 CHECK (is_default IN (0, 1)),
  priced_by_operator INTEGER NOT NULL DEFAULT 1 CHECK (priced_by_operator IN (0, 1)),
  version INTEGER NOT NULL DEFAULT 1,
  created_at INTEGER NOT NULL,
  deleted_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX providers_of_tenant ON providers (tenant_id, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX providers_by_age ON providers (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX default_providers ON providers (tenant_id, created_at, id) WHERE is_default = 1 AND deleted_at IS NULL;
CREATE INDEX deleted_providers ON providers (deleted_at) WHERE deleted_at IS NOT NULL;

-- Endpoints that may have machines: those with an image. Whether a provider offers what one selects, no statement can tell.
CREATE INDEX endpoints_with_image ON endpoints (tenant_id) WHERE fleet ->> 'image' IS NOT NULL AND deleted_at IS NULL;

-- What a provider offers stands in the settings of the endpoints that use it: those that name it, and if it is a default one of its
-- tenant also those that name none.
CREATE TRIGGER provider_added AFTER INSERT ON providers WHEN NEW.is_default = 1
BEGIN
  UPDATE endpoints SET version = version + 1
  WHERE tenant_id = NEW.tenant_id AND fleet ->> 'image' IS NOT NULL AND deleted_at IS NULL AND fleet ->> 'providers' IS NULL;
END;
CREATE TRIGGER provider_changed AFTER UPDATE ON providers
  WHEN OLD.offers <> NEW.offers OR OLD.url IS NOT NEW.url OR OLD.kind <> NEW.kind OR OLD.is_default <> NEW.is_default
    OR OLD.deleted_at IS NOT NEW.deleted_at
BEGIN
  UPDATE endpoints SET version = version + 1
  WHERE tenant_id = NEW.tenant_id AND fleet ->> 'image' IS NOT NULL AND deleted_at IS NULL AND (
    (fleet ->> 'providers' IS NULL AND 1 IN (OLD.is_default, NEW.is_default))
    OR NEW.id IN (SELECT value FROM json_each(endpoints.fleet, '$.providers'))
  );
END;
CREATE TRIGGER provider_removed AFTER DELETE ON providers WHEN OLD.deleted_at IS NULL
BEGIN
  UPDATE endpoints SET version = version + 1
  WHERE tenant_id = OLD.tenant_id AND fleet ->> 'image' IS NOT NULL AND deleted_at IS NULL AND (
    (fleet ->> 'providers' IS NULL AND OLD.is_default = 1)
    OR OLD.id IN (SELECT value FROM json_each(endpoints.fleet, '$.providers'))
  );
END;

-- Prices travel with the settings of every endpoint that uses their tier, now also of those whose machines may have it. Which tier a
-- machine has is not known here, so that all endpoints with machines are sent a new price.
DROP TRIGGER rate_added;
CREATE TRIGGER rate_added AFTER INSERT ON gpu_rates
BEGIN
  UPDATE endpoints SET version = version + 1 WHERE id IN (
    SELECT endpoint_id FROM upstreams WHERE tier = NEW.tier
    UNION SELECT endpoint_id FROM api_keys WHERE tier = NEW.tier
    UNION SELECT id FROM endpoints WHERE tenant_id IN (SELECT tenant_id FROM providers WHERE deleted_at IS NULL)
      AND fleet ->> 'image' IS NOT NULL AND deleted_at IS NULL
  );
END;
DROP TRIGGER rate_changed;
CREATE TRIGGER rate_changed AFTER UPDATE ON gpu_rates
BEGIN
  UPDATE endpoints SET version = version + 1 WHERE id IN (
    SELECT endpoint_id FROM upstreams WHERE tier IN (OLD.tier, NEW.tier)
    UNION SELECT endpoint_id FROM api_keys WHERE tier IN (OLD.tier, NEW.tier)
    UNION SELECT id FROM endpoints WHERE tenant_id IN (SELECT tenant_id FROM providers WHERE deleted_at IS NULL)
      AND fleet ->> 'image' IS NOT NULL AND deleted_at IS NULL
  );
END;
DROP TRIGGER rate_removed;
CREATE TRIGGER rate_removed AFTER DELETE ON gpu_rates
BEGIN
  UPDATE endpoints SET version = version + 1 WHERE id IN (
    SELECT endpoint_id FROM upstreams WHERE tier = OLD.tier
    UNION SELECT endpoint_id FROM api_keys WHERE tier = OLD.tier
    UNION SELECT id FROM endpoints WHERE tenant_id IN (SELECT tenant_id FROM providers WHERE deleted_at IS NULL)
      AND fleet ->> 'image' IS NOT NULL AND deleted_at IS NULL
  );
END;
