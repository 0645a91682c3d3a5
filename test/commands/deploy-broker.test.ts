// npm run deploy with a real broker behind the address that it is told: the secrets that it makes, the key and the
// endpoint are what the Worker takes, and the three lines that it prints at the end do what they say.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { applyMigrations } from "../../src/cli/dev-database.ts";
import { type DevServer, launchDevServer } from "../../src/cli/dev-server.ts";
import { waitFor } from "../../src/cli/wait-for.ts";
import { takePort } from "../running/port.ts";
import { type DeployProject, startDeployProject } from "./deploy-project.ts";
import { shareDatabase } from "./deployed.ts";

let project: DeployProject;
let broker: DevServer | undefined;
/** The broker's state. */
let folder: string;

beforeAll(async () => {
  project = await startDeployProject();
  folder = mkdtempSync(join(tmpdir(), "waybill-deploy-broker-"));
  await applyMigrations(folder);
});

afterAll(async () => {
  await broker?.stop();
  project?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** The broker with the secrets of the Worker, as soon as it has some: it comes up while npm run deploy waits for it. */
async function launchWithSecrets(port: number): Promise<DevServer> {
  const secrets = await waitFor(() => project.account().worker?.secrets, Date.now() + 120_000);
  return launchDevServer({ port, persistTo: folder, ...(secrets === undefined ? {} : { vars: secrets }) });
}

it("makes a deployment that works, and prints lines that do", { timeout: 240_000 }, async () => {
  const port = await takePort();
  shareDatabase(project, folder, `http://127.0.0.1:${port}`);
  const [deployed, launched] = await Promise.all([project.deploy(), launchWithSecrets(port)]);
  broker = launched;
  expect(deployed, deployed.stderr).toMatchObject({ code: 0, stderr: "" });
  const key = /admin key: (\S+)/.exec(deployed.stdout)?.[1] ?? "";
  const [, lines = ""] = deployed.stdout.split(/^Try it.*\n/m);
  const [run = "", health = "", workerEnv = ""] = lines.trim().split("\n");
  const typed = async (line: string) => {
    const ended = await project.shell(line, { env: { WAYBILL_KEY: key } });
    expect(ended.code, `${line}\n${ended.stderr}`).toBe(0);
    return ended.stdout;
  };
  expect(JSON.parse(await typed(run))).toMatchObject({ id: expect.any(String), status: "IN_QUEUE" });
  expect(JSON.parse(await typed(health))).toMatchObject({ jobs: { inQueue: 1 } });
  expect(await typed(workerEnv)).toContain(`RUNPOD_WEBHOOK_GET_JOB=http://127.0.0.1:${port}/v2/`);
  const again = await project.deploy();
  expect(again.stdout).toContain("\n0 changes: all is as it should be\n");
  expect(again.stdout).not.toContain(key);
});
