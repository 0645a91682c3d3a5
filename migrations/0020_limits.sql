-- What an operator may set for a tenant: how many of its jobs may run at once in each endpoint, and limits of calls other than the
-- default ones, as JSON by operation. NULL: no bound, and the default limits.
ALTER TABLE tenants ADD COLUMN running_max INTEGER CHECK (running_max >= 1);
ALTER TABLE tenants ADD COLUMN limits TEXT CHECK (json_valid(limits));
