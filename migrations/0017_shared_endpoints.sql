-- What waits and runs is asked endpoint by endpoint, newest first: a tenant's own, and those that are open to every tenant.
CREATE INDEX shared_endpoints ON endpoints (created_at, id) WHERE shared = 1 AND deleted_at IS NULL;
