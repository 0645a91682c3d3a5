-- The JSON Schema that the inputs of an endpoint's jobs are checked by, as its text; null: any input is taken.
ALTER TABLE endpoints ADD COLUMN input_schema TEXT;
