// Which broker a command is for, and the key to call it with.
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseJson, textOf } from "../core/json/value.ts";
import { checkBase } from "../core/manage/worker-forms.ts";
import { readSecret } from "./admin-secrets.ts";
import type { BrokerPlace } from "./api.ts";
import { DEV_STATE_FOLDER } from "./folders.ts";
import { loginFile, readLogins } from "./login-file.ts";
import { makePrivate } from "./private-file.ts";
import { IS_PROJECT, PROGRAM } from "./program.ts";
import { portOfState } from "./state-note.ts";
import { Failed, WrongUse } from "./wrong-use.ts";

export interface Place {
  readonly broker?: string | undefined;
  readonly state?: string | undefined;
  readonly "persist-to"?: string | undefined;
}

/** The folder of a local broker's state. */
export function stateFolderOf(place: Place): string {
  return resolve(place.state ?? place["persist-to"] ?? DEV_STATE_FOLDER);
}

/** The broker that a command line names, else the environment, else the one that runs on the state. */
export async function findBroker(place: Place, env = process.env): Promise<BrokerPlace> {
  const base = baseOf(place, env);
  const given = env.WAYBILL_KEY;
  if (given !== undefined && given !== "") return { base, key: given, keyFrom: "in WAYBILL_KEY" };
  const state = stateFolderOf(place);
  const kept = (base === localBase(state) ? keptKey(state) : null) ?? loginKey(base);
  if (kept !== null) return { base, ...kept };
  if (!process.stdin.isTTY)
    throw new Failed(
      "forbidden",
      `there is no key for ${base}: WAYBILL_KEY is not set, and ${PROGRAM} login has kept none`,
    );
  return { base, key: await readSecret("WAYBILL_KEY", `key for ${base}`), keyFrom: "that was typed" };
}

/** An option goes before the environment: whoever types `--state` means the broker of that folder. */
export function baseOf(place: Place, env = process.env): string {
  const isStateNamed = place.state !== undefined || place["persist-to"] !== undefined;
  if (place.broker !== undefined) return checkAddress("--broker", place.broker);
  if (!isStateNamed && env.WAYBILL_URL !== undefined && env.WAYBILL_URL !== "")
    return checkAddress("WAYBILL_URL", env.WAYBILL_URL);
  const state = stateFolderOf(place);
  // The package has no state of its own, only one that is named.
  const base = (IS_PROJECT || isStateNamed ? localBase(state) : null) ?? (isStateNamed ? null : readLogins().current);
  if (base !== null) return base;
  const missing =
    IS_PROJECT || isStateNamed
      ? `no broker runs on the state in ${state}: npm start starts one, and`
      : "no broker is named:";
  throw new Failed(
    "unreachable",
    `${missing} --broker URL (or WAYBILL_URL) names a deployed one, which ${PROGRAM} login keeps`,
  );
}

function localBase(state: string): string | null {
  const port = portOfState(state);
  return port === null ? null : `http://127.0.0.1:${port}`;
}

/** The key that `npm start` or `setup` has kept beside the state; null: there is none. */
function keptKey(state: string): Pick<BrokerPlace, "key" | "keyFrom"> | null {
  const path = join(state, "first.json");
  if (!existsSync(path)) return null;
  makePrivate(path);
  const key = textOf(parseJson(readFileSync(path, "utf8")), "key");
  return key === "" ? null : { key, keyFrom: `in ${path}` };
}

/** The key that login has kept for this broker and is sent to no other; null: there is none. */
function loginKey(base: string): Pick<BrokerPlace, "key" | "keyFrom"> | null {
  const key = readLogins().keys[base];
  return key === undefined ? null : { key, keyFrom: `in ${loginFile()}` };
}

/** An address without a slash at its end. `name`: what was typed, for the sentence. */
export function checkAddress(name: string, text: string): string {
  const isOfThisMachine = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(URL.canParse(text) ? new URL(text).hostname : "");
  const checked = checkBase(text, isOfThisMachine);
  if (checked.ok) return checked.base;
  throw new WrongUse(`${name} ${checked.problem}`);
}
