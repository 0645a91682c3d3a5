// Turns the zod schemas of all operations into the JSON Schemas of one OpenAPI document. A schema with an id becomes a component.
import * as z from "zod";

export type Json = { [name: string]: unknown };

/** The schemas that calls are checked by, and those of answers: with defaults, one schema has two forms. */
export interface UsedSchemas {
  readonly input: ReadonlySet<z.ZodType>;
  readonly output: ReadonlySet<z.ZodType>;
}

export interface RenderedSchemas {
  readonly input: ReadonlyMap<z.ZodType, Json>;
  readonly output: ReadonlyMap<z.ZodType, Json>;
  readonly components: Json;
}

/** Throws where one id stands for two forms: the later one would silently replace the other. */
export function renderSchemas({ input, output }: UsedSchemas): RenderedSchemas {
  const taken = render(input, "input");
  const given = render(output, "output");
  const components = { ...taken.components };
  for (const [id, schema] of Object.entries(given.components)) {
    const other = components[id];
    if (other !== undefined && JSON.stringify(other) !== JSON.stringify(schema)) {
      throw new Error(`the schema ${id} is used in calls and in answers, where it has another form: give it two ids`);
    }
    components[id] = schema;
  }
  return { input: taken.of, output: given.of, components: sorted(components) };
}

/** All in one call: zod then names the components once, beside the schemas. */
function render(schemas: ReadonlySet<z.ZodType>, io: "input" | "output") {
  const all = [...schemas];
  const whole = z.object(Object.fromEntries(all.map((schema, at) => [`s${at}`, schema])));
  const made = z.toJSONSchema(whole, {
    io,
    unrepresentable: "any",
    override: ({ jsonSchema }) => tidy(jsonSchema as Json, io),
  });
  const text = JSON.stringify({ properties: made.properties ?? {}, defs: made.$defs ?? {} });
  const { properties, defs }: { properties: Record<string, Json>; defs: Json } = JSON.parse(
    text.replaceAll('"#/$defs/', '"#/components/schemas/'),
  );
  return { of: new Map(all.map((schema, at) => [schema, properties[`s${at}`] ?? {}])), components: defs };
}

/** Takes away what zod writes for itself: the id, a long pattern of times, and the bounds of every integer. */
function tidy(schema: Json, io: "input" | "output"): void {
  delete schema.id;
  if (schema.format === "date-time") delete schema.pattern;
  if (io === "input") return;
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
}

function sorted(components: Json): Json {
  return Object.fromEntries(Object.entries(components).sort(([a], [b]) => (a < b ? -1 : 1)));
}
