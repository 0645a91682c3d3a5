// The two secrets of a deployment as the operator's command gets them: environment, .dev.vars, or typed in unseen.
import { existsSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Writable } from "node:stream";

export interface AdminSecrets {
  readonly pepper: string;
  readonly encryptionKey: string;
}

/** `devVarsPath` null: the database is the deployed one, whose secrets are not those of development. */
export async function readSecrets(devVarsPath: string | null): Promise<AdminSecrets> {
  const devVars = devVarsPath !== null && existsSync(devVarsPath) ? readFileSync(devVarsPath, "utf8") : "";
  return {
    pepper: await readSecret("WAYBILL_PEPPER", devVars, "PEPPER"),
    encryptionKey: await readSecret("WAYBILL_ENCRYPTION_KEY", devVars, "ENCRYPTION_KEY"),
  };
}

async function readSecret(variable: string, devVars: string, devName: string): Promise<string> {
  const given = process.env[variable];
  if (given !== undefined && given !== "") return given;
  const line = new RegExp(`^\\s*${devName}\\s*=\\s*(["']?)(.*?)\\1\\s*$`, "m").exec(devVars);
  if (line?.[2] !== undefined && line[2] !== "") return line[2];
  if (!process.stdin.isTTY) throw new Error(`${variable} is not set`);
  const typed = await ask(`${devName}: `);
  if (typed === "") throw new Error(`${variable} is not set`);
  return typed;
}

/** Asks without showing what is typed: a terminal keeps its history. */
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
