// Routes of operators. A settings change is written to D1 first and then pushed to the broker by this call.
import type { Hono } from "hono";
import { callBroker } from "../../broker/stub.ts";
import { configureRequestSchema } from "../../contract/job-request.ts";
import type { Result } from "../../core/failure.ts";
import { fail, ok } from "../../core/failure.ts";
import { loadEndpointSettings } from "../../db/endpoints.ts";
import { noteTaken } from "../../db/taken-versions.ts";
import { jsonAnswer } from "../kit/answer.ts";
import { askD1 } from "../kit/ask-d1.ts";
import type { RouteContext, Routing } from "../kit/routing.ts";
import { enter, refuse } from "../kit/routing.ts";

/** The body holds one id. */
const BODY_MAX_BYTES = 4_096;

/** Adds the routes of operators. */
export function addOperatorRoutes(app: Hono<Routing>): void {
  app.post("/v1/admin/configure", configure);
}

/** Reads the settings past every cache and hands them to the broker; answers with the version it has now. */
async function configure(c: RouteContext): Promise<Response> {
  const caller = await enter(c, "admin");
  if (!caller.ok) return refuse(c, caller.failure);
  const endpointId = await readEndpointId(c.req.raw);
  if (!endpointId.ok) return refuse(c, endpointId.failure);
  const loaded = await askD1(() => loadEndpointSettings(c.env.DB, endpointId.value));
  if (!loaded.ok) return refuse(c, loaded.failure);
  const settings = loaded.value;
  if (settings === null) return refuse(c, { kind: "not_found" });
  const configured = await callBroker(c.env, settings.endpointId, (broker) => broker.configure(settings), {
    idempotent: true,
  });
  if (!configured.ok) return refuse(c, configured.failure);
  const { version } = configured.value;
  // D1 that does not take the note costs no more than a call of the cron.
  await askD1(() => noteTaken(c.env.DB, [{ endpointId: settings.endpointId, version }]));
  return jsonAnswer(200, { endpointId: settings.endpointId, version }, c.get("requestId"));
}

async function readEndpointId(request: Request): Promise<Result<string>> {
  const text = await readShortText(request);
  if (!text.ok) return text;
  let value: unknown;
  try {
    value = JSON.parse(text.value);
  } catch {
    return fail({ kind: "invalid", field: "body", message: "must be a JSON object" });
  }
  const parsed = configureRequestSchema.safeParse(value);
  if (parsed.success) return ok(parsed.data.endpointId);
  const issue = parsed.error.issues[0];
  const field = issue === undefined || issue.path.length === 0 ? "body" : issue.path.join(".");
  return fail({ kind: "invalid", field, message: issue?.message ?? "is not valid" });
}

/** The body as text, read no further than its limit. */
async function readShortText(request: Request): Promise<Result<string>> {
  if (request.body === null) return ok("");
  const decoder = new TextDecoder();
  let text = "";
  let sizeBytes = 0;
  for await (const chunk of request.body.values({ preventCancel: true })) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > BODY_MAX_BYTES) return fail({ kind: "too_large", maxBytes: BODY_MAX_BYTES });
    text += decoder.decode(chunk, { stream: true });
  }
  return ok(text + decoder.decode());
}
