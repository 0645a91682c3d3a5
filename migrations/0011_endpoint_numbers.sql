-- The number of an endpoint stands in the ids of its jobs (src/core/job/id.ts), so that a job's endpoint is found by its id alone.
-- New endpoints draw theirs. Those that are there get different ones that look drawn: an odd factor maps no two rows to the same
-- number. No broker uses it, so the trigger that raises an endpoint's version is away meanwhile.
ALTER TABLE endpoints ADD COLUMN number INTEGER CHECK (number BETWEEN 1 AND 4294967295);
DROP TRIGGER endpoint_changed;
UPDATE endpoints SET number = numbered.number FROM (
  SELECT id, (row_number() OVER (ORDER BY id)) * 2654435761 % 4294967296 AS number FROM endpoints
) AS numbered WHERE endpoints.id = numbered.id;
CREATE TRIGGER endpoint_changed AFTER UPDATE ON endpoints
  WHEN NEW.version = OLD.version AND NEW.taken_version = OLD.taken_version
BEGIN
  UPDATE endpoints SET version = version + 1 WHERE id = NEW.id;
END;
CREATE UNIQUE INDEX endpoint_numbers ON endpoints (number);
