-- The secret that signed a tenant's webhooks before the last rotation. Until the time beside it each webhook is signed with both.
ALTER TABLE tenants ADD COLUMN sealed_former_webhook_secret TEXT;
ALTER TABLE tenants ADD COLUMN former_webhook_secret_until INTEGER;

-- A dead letter can be sent again while its body stands in R2: since when it does, and null once it does not. One that was delivered
-- so stays as a row until it is dropped like any other, so that its broker, if it did not get D1's answer, does not add it again.
ALTER TABLE webhook_dead_letters ADD COLUMN body_stored_at INTEGER;
ALTER TABLE webhook_dead_letters ADD COLUMN delivered_at INTEGER;
