// Refuses what would make the settings of an endpoint longer than its broker can store: no later change would reach it then, no pause, no
// revoked key and no price.
import { SETTINGS_CHARS_MAX } from "../core/endpoint/limits.ts";
import { fail, ok, type Result } from "../core/failure.ts";
import { askD1 } from "../db/ask-d1.ts";
import { countSettingsChars } from "../db/settings-room.ts";

/** Is there room for one more upstream or worker's key? Calls at once may go beyond the bound by one each, for which there is room. */
export async function checkRoom(env: Env, endpointId: string): Promise<Result<null>> {
  const chars = await askD1(() => countSettingsChars(env.DB, endpointId));
  if (!chars.ok) return chars;
  return chars.value < SETTINGS_CHARS_MAX ? ok(null) : FULL;
}

const FULL = fail({
  kind: "conflict",
  message:
    "this endpoint has as many upstreams and worker keys as its broker can hold: remove upstreams, or revoke keys, that are not used any more",
});
