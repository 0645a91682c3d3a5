// The key that commands call a broker with, kept for this user.
import { textOf } from "../../core/json/value.ts";
import { readSecret } from "../admin-secrets.ts";
import { makeApi } from "../api.ts";
import { loginFile, readLogins, writeLogins } from "../login-file.ts";
import { baseOf, type Place } from "../where.ts";
import { WrongUse } from "../wrong-use.ts";
import { type Command, command, type Shown } from "./command.ts";

export const LOGIN_COMMANDS: readonly Command[] = [
  command({
    words: "login",
    summary: "keep a broker's address and your key, for the commands that follow",
    options: {},
    notes: [
      "The key is read from WAYBILL_KEY, or you are asked, unseen. The broker is asked whether it takes the key.",
    ],
    run: async ({ place }) => login(place),
  }),
  command({
    words: "logout",
    summary: "forget the key of a broker; it is not revoked",
    options: {},
    run: async ({ place }) => logout(place),
  }),
];

async function login(place: Place): Promise<Shown> {
  const base = baseOf(place);
  const key = await readSecret("WAYBILL_KEY", `key for ${base}`);
  const self = await makeApi({ base, key, keyFrom: "that was given" }).get("/v1/me");
  const logins = readLogins();
  writeLogins({ current: base, keys: { ...logins.keys, [base]: key } });
  const scopes = Array.isArray(self.scopes) ? self.scopes.map(String) : [];
  const json = { broker: base, tenantId: textOf(self, "tenantId"), scopes, file: loginFile() };
  const lines = [`Logged in to ${base} as tenant ${json.tenantId}, with the scopes ${scopes.join(", ")}.`];
  return { json, lines, notes: [`The key is in ${json.file}, which you alone may read.`] };
}

function logout(place: Place): Shown {
  const base = baseOf(place);
  const { current, keys } = readLogins();
  const { [base]: known, ...others } = keys;
  if (known === undefined) throw new WrongUse(`there is no key for ${base} in ${loginFile()}`);
  writeLogins({ current: current === base ? null : current, keys: others });
  return { json: { broker: base }, lines: [`The key for ${base} is forgotten. To end it everywhere: key revoke.`] };
}
