// A worker in a process of its own that is told to end before it is ready.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, expect, it } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "waybill-signals-"));
const SDK = pathToFileURL(join(import.meta.dirname, "../../src/sdk/worker.ts")).href;
const SCRIPT = join(folder, "worker.mjs");
// Nobody listens at the address: a worker that asked for jobs all the same would tell that in its log.
const ADDRESS = "http://127.0.0.1:1/job-take/$ID?gpu=X";

writeFileSync(
  SCRIPT,
  `import { start } from ${JSON.stringify(SDK)};
const loading = setInterval(() => undefined, 1_000);
await start({ handler: () => 1, prestart: () => new Promise(() => console.log("loads")) });
clearInterval(loading);
`,
);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

// By default a signal ends a process as well, but not the first one of a container: that would go on, and take jobs.
it.each([
  ["fetches its jobs", { RUNPOD_WEBHOOK_GET_JOB: ADDRESS, RUNPOD_WEBHOOK_POST_OUTPUT: ADDRESS }],
  ["serves an endpoint", { MODE: "pod" }],
])("ends in order in the middle of its prestart hook where it %s", async (_what, variables) => {
  const child = spawn(process.execPath, ["--no-warnings", SCRIPT], { cwd: folder, env: { ...variables } });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (output += data));
  const exited = once(child, "exit");
  while (!output.includes("loads")) await Promise.race([once(child.stdout, "data"), exited]);
  child.kill("SIGTERM");
  expect(await exited).toEqual([0, null]);
  expect(output).toContain("ends before it was ready");
  expect(output).not.toContain("asking for jobs");
});
