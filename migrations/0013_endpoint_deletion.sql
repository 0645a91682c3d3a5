-- An endpoint that is deleted keeps its row for ever: its id is never used again, and usage lines name it. deleted_at: since when no
-- caller finds it. emptied_at: since when its broker has nothing left to do and nothing stored.
ALTER TABLE endpoints ADD COLUMN deleted_at INTEGER;
ALTER TABLE endpoints ADD COLUMN emptied_at INTEGER CHECK (emptied_at IS NULL OR deleted_at IS NOT NULL);

-- A broker that has emptied itself must not be woken by the cron, whatever raises its endpoint's version later, such as a new price.
DROP INDEX endpoints_behind;
CREATE INDEX endpoints_behind ON endpoints (id) WHERE taken_version < version AND emptied_at IS NULL;

-- Nothing is added to a deleted endpoint, also by a caller that has found it a moment before its deletion: a credential would stay
-- for ever. The message is that of an endpoint which does not exist.
CREATE TRIGGER upstream_of_deleted BEFORE INSERT ON upstreams
  WHEN (SELECT deleted_at FROM endpoints WHERE id = NEW.endpoint_id) IS NOT NULL
BEGIN
  SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed: the endpoint is deleted');
END;
CREATE TRIGGER worker_key_of_deleted BEFORE INSERT ON api_keys
  WHEN (SELECT deleted_at FROM endpoints WHERE id = NEW.endpoint_id) IS NOT NULL
BEGIN
  SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed: the endpoint is deleted');
END;

-- Lists show no deleted endpoint, and must not read those of a tenant that deletes many.
DROP INDEX endpoints_of_tenant;
CREATE INDEX endpoints_of_tenant ON endpoints (tenant_id, created_at, id) WHERE deleted_at IS NULL;
DROP INDEX endpoints_by_age;
CREATE INDEX endpoints_by_age ON endpoints (created_at, id) WHERE deleted_at IS NULL;
