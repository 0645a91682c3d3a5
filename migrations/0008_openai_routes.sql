-- Which routes of its OpenAI servers an endpoint lets tenants' requests reach with the operator's credential: `inference`, more
-- routes beside it or in its place, or `all`, which holds only while the endpoint is not shared (core/openai-routes.ts).
ALTER TABLE endpoints ADD COLUMN openai_routes TEXT NOT NULL DEFAULT 'inference' CHECK (openai_routes <> '');
