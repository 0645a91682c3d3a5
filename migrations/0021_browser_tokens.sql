-- The origins whose pages may call the endpoint from a browser: a JSON array of exact origins. None, until its owner names some.
ALTER TABLE endpoints ADD COLUMN allowed_origins TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(allowed_origins));
