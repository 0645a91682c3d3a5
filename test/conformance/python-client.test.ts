// RunPod's Python client classes, unmodified, against a broker whose jobs RunPod's Python workers run.
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type RunningBroker, startBroker } from "../running/broker.ts";
import { describePython, PythonWorkers } from "./python-worker.ts";

const CLIENT = join(import.meta.dirname, "client.py");
const run = promisify(execFile);

const VERSIONS = ["newest", "2.0.0rc2"] as const;

describePython("RunPod's Python clients", (interpreters) => {
  const workers = new PythonWorkers(interpreters);
  // A key in the configuration file of whoever runs the tests would go before the one given here.
  const home = mkdtempSync(join(tmpdir(), "waybill-client-"));
  let broker: RunningBroker;

  beforeAll(async () => {
    broker = await startBroker({
      plain: { workers: {} },
      chunks: { workers: {} },
      ...Object.fromEntries(VERSIONS.map((version) => [nobodyOf(version), {}])),
    });
    workers.start(broker, "plain", { mode: "plain" });
    workers.start(broker, "chunks", { mode: "chunks" });
  });

  afterAll(async () => {
    rmSync(home, { recursive: true, force: true });
    await broker?.stop();
  });

  it.each(VERSIONS)(
    "of runpod %s run, wait, stream, cancel, purge and look, blocking and with asyncio",
    async (version) => {
      const env = { PATH: process.env.PATH ?? "", HOME: home, RUNPOD_ENDPOINT_BASE_URL: `${broker.url}/v2` };
      const { stdout } = await run(interpreters[version], [CLIENT, broker.key, nobodyOf(version)], {
        env,
        timeout: 100_000,
      });
      expect(stdout.trim().split("\n").at(-1)).toBe("all as it should be");
    },
  );
});

/** The endpoint without workers that the client of this version has to itself. */
function nobodyOf(version: (typeof VERSIONS)[number]): string {
  return `nobody-${version.replaceAll(".", "-")}`;
}
