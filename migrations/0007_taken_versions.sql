-- The version of its settings that an endpoint's broker is known to have: the cron asks those that are behind, and nobody else.
-- None has an older one than the first: a broker that was never called has none at all, and asks for them when it is.
ALTER TABLE endpoints ADD COLUMN taken_version INTEGER NOT NULL DEFAULT 1;
CREATE INDEX endpoints_behind ON endpoints (id) WHERE taken_version < version;

-- A change that does not raise the version would never reach the broker, so the database itself raises it, whoever writes.
-- A table that is made anew loses its triggers: whoever does that makes them again.
CREATE TRIGGER endpoint_changed AFTER UPDATE ON endpoints
  WHEN NEW.version = OLD.version AND NEW.taken_version = OLD.taken_version
BEGIN
  UPDATE endpoints SET version = version + 1 WHERE id = NEW.id;
END;

CREATE TRIGGER upstream_added AFTER INSERT ON upstreams
BEGIN
  UPDATE endpoints SET version = version + 1 WHERE id = NEW.endpoint_id;
END;
CREATE TRIGGER upstream_changed AFTER UPDATE ON upstreams
BEGIN
  UPDATE endpoints SET version = version + 1 WHERE id IN (OLD.endpoint_id, NEW.endpoint_id);
END;
CREATE TRIGGER upstream_removed AFTER DELETE ON upstreams
BEGIN
  UPDATE endpoints SET version = version + 1 WHERE id = OLD.endpoint_id;
END;

CREATE TRIGGER worker_key_added AFTER INSERT ON api_keys WHEN NEW.endpoint_id IS NOT NULL
BEGIN
  UPDATE endpoints SET version = version + 1 WHERE id = NEW.endpoint_id;
END;
CREATE TRIGGER worker_key_changed AFTER UPDATE ON api_keys
  WHEN OLD.endpoint_id IS NOT NULL OR NEW.endpoint_id IS NOT NULL
BEGIN
  UPDATE endpoints SET version = version + 1 WHERE id IN (OLD.endpoint_id, NEW.endpoint_id);
END;
CREATE TRIGGER worker_key_removed AFTER DELETE ON api_keys WHEN OLD.endpoint_id IS NOT NULL
BEGIN
  UPDATE endpoints SET version = version + 1 WHERE id = OLD.endpoint_id;
END;

-- Prices travel with the settings of every endpoint that uses their tier.
CREATE TRIGGER rate_added AFTER INSERT ON gpu_rates
BEGIN
  UPDATE endpoints SET version = version + 1 WHERE id IN (
    SELECT endpoint_id FROM upstreams WHERE tier = NEW.tier
    UNION SELECT endpoint_id FROM api_keys WHERE tier = NEW.tier
  );
END;
CREATE TRIGGER rate_changed AFTER UPDATE ON gpu_rates
BEGIN
  UPDATE endpoints SET version = version + 1 WHERE id IN (
    SELECT endpoint_id FROM upstreams WHERE tier IN (OLD.tier, NEW.tier)
    UNION SELECT endpoint_id FROM api_keys WHERE tier IN (OLD.tier, NEW.tier)
  );
END;
CREATE TRIGGER rate_removed AFTER DELETE ON gpu_rates
BEGIN
  UPDATE endpoints SET version = version + 1 WHERE id IN (
    SELECT endpoint_id FROM upstreams WHERE tier = OLD.tier
    UNION SELECT endpoint_id FROM api_keys WHERE tier = OLD.tier
  );
END;
