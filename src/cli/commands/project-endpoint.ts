// The endpoint of a command that runs in a worker's folder: the one that was typed, else that of waybill.json.
import { readSettings, SETTINGS_FILE } from "../project/settings.ts";
import { WrongUse } from "../wrong-use.ts";
import type { OptionSpecs } from "./command.ts";

export const ENDPOINT_OR_OWN = {
  endpoint: { type: "text", value: "ENDPOINT", about: `its id or slug (that of ${SETTINGS_FILE})`, names: "endpoint" },
} as const satisfies OptionSpecs;

/** Throws a sentence where neither names one. */
export function endpointOf(typed: string | undefined): string {
  const endpoint = typed ?? readSettings(process.cwd())?.endpoint;
  if (endpoint !== undefined) return endpoint;
  throw new WrongUse(`--endpoint is missing, and there is no ${SETTINGS_FILE} here`);
}
