// Where in a worker's folder a setting stands that the broker refuses by its own name for it.
import type { SettingProblem } from "../../core/manage/fleet-rules.ts";
import { type ProjectSettings, SETTINGS_FILE } from "./settings.ts";

/** The sentence about a wrong setting of an endpoint or a template. */
export function settingSentence({ field, message }: SettingProblem, file: ProjectSettings): string {
  const [member = ""] = field.split(".");
  if (member === "inputSchema") return `the input schema of ${file.worker} cannot be the endpoint's: ${message}`;
  return `${SETTINGS_FILE} is wrong: ${placeOf(field, member, file)}: ${message}`;
}

function placeOf(field: string, member: string, { settings }: ProjectSettings): string {
  if (member === "slug") return "endpoint";
  if (["type", "image", "env", "tier", "slots"].includes(member)) return field;
  // The pools come from the tier where the file names none.
  if (member === "gpu" && settings.gpu === undefined) return settings.cpu === undefined ? "tier" : "settings.cpu";
  if (field.startsWith("gpu.pools") && settings.gpu?.pools === undefined) return "tier";
  return `settings.${field}`;
}
