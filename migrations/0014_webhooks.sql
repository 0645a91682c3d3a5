-- The secret that signed a tenant's webhooks before the last rotation. Until the time beside it each webhook is signed with both.
ALTER TABLE tenants ADD COLUMN sealed_former_webhook_secret TEXT;
ALTER TABLE tenants ADD COLUMN former_webhook_secret_until INTEGER;
