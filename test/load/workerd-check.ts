// A Worker that reads the schema in the first line of a body, and checks the rest of the body by it, as often as it is asked for.
import { checkBytes } from "../../src/core/schema/check.ts";
import { compileSchema } from "../../src/core/schema/compile.ts";

function attack(schema: string, input: Uint8Array): string {
  const compiled = compileSchema(schema);
  return compiled.ok ? checkBytes(compiled, input).kind : "refused";
}

export default {
  async fetch(request: Request): Promise<Response> {
    const runs = Number(new URL(request.url).searchParams.get("runs"));
    const body = await request.text();
    const end = body.indexOf("\n");
    const schema = body.slice(0, end);
    const input = new TextEncoder().encode(body.slice(end + 1));
    let found = "";
    for (let run = 0; run < runs; run += 1) found = attack(schema, input);
    return new Response(found);
  },
};
