-- Indexes by which operators' lists give a page in its order. The keys of workers stand in lists of their endpoints alone: a tenant with
-- thousands of them would make the list of its other keys read every one.
DROP INDEX keys_of_tenant;
DROP INDEX keys_by_age;
CREATE INDEX client_keys_of_tenant ON api_keys (tenant_id, created_at, id) WHERE endpoint_id IS NULL;
CREATE INDEX client_keys_by_age ON api_keys (created_at, id) WHERE endpoint_id IS NULL;
-- Is there another key of the scope admin? The answer must not take a walk over the keys of all workers.
CREATE INDEX admin_keys ON api_keys (id) WHERE instr(scopes, 'admin') > 0;

DROP INDEX worker_keys_of_endpoint;
CREATE INDEX worker_keys_of_endpoint ON api_keys (endpoint_id, created_at, id) WHERE endpoint_id IS NOT NULL;
DROP INDEX upstreams_of_endpoint;
CREATE INDEX upstreams_of_endpoint ON upstreams (endpoint_id, created_at, id);

-- A new price raises the version of each endpoint of its tier (the trigger rate_added).
CREATE INDEX upstreams_of_tier ON upstreams (tier, endpoint_id);
CREATE INDEX worker_keys_of_tier ON api_keys (tier, endpoint_id) WHERE tier IS NOT NULL;
CREATE INDEX rates_by_time ON gpu_rates (effective_from);
