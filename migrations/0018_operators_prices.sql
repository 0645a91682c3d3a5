-- Who has set the price of an upstream: a tenant must not change what an operator bills it for the operator's machines. Those that are
-- there are an operator's, but for those that a tenant's own key has added, as the audit has it.
ALTER TABLE upstreams ADD COLUMN priced_by_operator INTEGER NOT NULL DEFAULT 1 CHECK (priced_by_operator IN (0, 1));
UPDATE upstreams SET priced_by_operator = 0 WHERE id IN (
  SELECT audit_lines.object_id FROM audit_lines JOIN api_keys ON api_keys.id = audit_lines.key_id
  WHERE audit_lines.action = 'upstream.create' AND instr(api_keys.scopes, 'admin') = 0
);
