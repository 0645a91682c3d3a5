// GET / and /healthz: is the server up, and are its settings complete and valid?
import { readConfig } from "../../config.ts";
import { jsonAnswer } from "./answer.ts";
import type { RouteContext } from "./context.ts";

/** The sentence in the answer names settings that are missing or wrong, never their values. */
export async function alive(c: RouteContext): Promise<Response> {
  try {
    readConfig(c.env);
    return jsonAnswer(200, { ok: true }, c.get("requestId"));
  } catch (error) {
    const sentence = error instanceof Error ? error.message : String(error);
    return jsonAnswer(500, { error: sentence, message: sentence }, c.get("requestId"));
  }
}
