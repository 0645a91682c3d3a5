// The name of a worker, which its endpoint and its package have.
import { slugProblem } from "../../core/access/endpoint-name.ts";
import { WrongUse } from "../wrong-use.ts";
import { SLUG_MAX_CHARS } from "./settings.ts";

/** A name for the endpoint and the package out of any text. */
export function nameOf(text: string): string {
  const name = text
    .normalize("NFKD")
    .toLowerCase()
    .replace(/\p{M}/gu, "")
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, SLUG_MAX_CHARS)
    .replace(/^-+|-+$/g, "");
  return name === "" || nameProblem(name) !== null ? `my-${name || "worker"}` : name;
}

/** Why a name that is well formed cannot be taken, as the rest of a sentence; null: it can. */
function nameProblem(name: string): string | null {
  return name === "waybill" ? "is the package that the worker's depends on" : slugProblem(name);
}

/** The name that somebody has typed. Throws a sentence where it cannot be one. */
export function checkedName(name: string): string {
  const made = nameOf(name);
  if (made === name) return name;
  const problem = made === `my-${name}` ? nameProblem(name) : "must be small letters, digits and hyphens";
  throw new WrongUse(`--name ${problem}, such as ${made}`);
}
