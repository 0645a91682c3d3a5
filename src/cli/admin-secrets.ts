// The secrets of the operator's command come from the environment, from .dev.vars, or are typed in unseen. They never
// come from its arguments, which every process of the machine can see and the shell remembers.
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { type DevSecrets, findWrongSecret, readDevVars } from "./dev-secrets.ts";
import { Failed } from "./wrong-use.ts";

/** Of the key that a broker is called with. */
const KEY_VARIABLE = "WAYBILL_KEY";

export interface AdminSecrets {
  readonly pepper: string;
  readonly encryptionKey: string;
}

/** `devVarsPath` null: the database is the deployed one, whose secrets are not those of development. */
export async function readSecrets(devVarsPath: string | null): Promise<AdminSecrets> {
  const devVars = devVarsPath === null ? undefined : readDevVars(devVarsPath);
  const pepper = await readSecret("WAYBILL_PEPPER", "PEPPER", devVars);
  const encryptionKey = await readSecret("WAYBILL_ENCRYPTION_KEY", "ENCRYPTION_KEY", devVars);
  // Checked before any write, because the database remembers the fingerprints of the first secrets that are used.
  const wrong = findWrongSecret(new Map(Object.entries({ PEPPER: pepper, ENCRYPTION_KEY: encryptionKey })));
  if (wrong !== null) throw new Error(`WAYBILL_${wrong.name} must be ${wrong.what}`);
  return { pepper, encryptionKey };
}

/** Reads one secret: from a variable of the environment, from a line of `.dev.vars`, or as it is typed. */
export async function readSecret(variable: string, devName: string, devVars?: DevSecrets): Promise<string> {
  const given = process.env[variable];
  if (given !== undefined && given !== "") return given;
  const inFile = devVars?.get(devName) ?? "";
  if (inFile !== "") return inFile;
  if (!process.stdin.isTTY) throw missing(variable);
  const typed = await ask(`${devName}: `);
  if (typed === "") throw missing(variable);
  return typed;
}

function missing(variable: string): Failed {
  return new Failed(variable === KEY_VARIABLE ? "forbidden" : "failed", `${variable} is not set`);
}

/** Asks without showing the typed text, because a terminal keeps its history. */
function ask(question: string): Promise<string> {
  process.stderr.write(question);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  return new Promise((resolve) => {
    let answer = "";
    terminal.once("line", (line) => {
      answer = line;
      terminal.close();
    });
    terminal.once("close", () => {
      process.stderr.write("\n");
      resolve(answer);
    });
  });
}
