-- The public templates of all tenants are listed together, among those of many who publish none.
CREATE INDEX public_templates ON templates (created_at, id) WHERE settings ->> 'public' = 1;
