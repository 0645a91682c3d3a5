// Everything that /openapi.json describes, called with values that fit it and with values that do not, by a tool of others.
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import * as z from "zod";
import { callBroker } from "../running/broker.ts";
import { type DirectBroker, startDirectBroker } from "../running/direct-broker.ts";
import { NO_LIMITS } from "../support/stored.ts";
import { describePython } from "./python-worker.ts";

const run = promisify(execFile);
const idSchema = z.object({ id: z.string() });

/** What workers and upstreams are behind, polls that are held, and a stream that stays open. */
const LEFT_OUT = "^/lb/|/openai/|/job-(take|take-batch|stop|done|stream)/|/ping/|/logs$";

/** Two runs at once, because one is on its own for most of the time. Each has a tenant of its own. */
const PARTS = {
  "of ours": ["--include-path-regex", "^/v1/"],
  "of RunPod's": ["--exclude-path-regex", `^/v1/|${LEFT_OUT}`],
};

/**
 * Each key may make 3,000 calls a minute. One worker: with two, Python 3.11 now and then fails in its own parser ("AST constructor
 * recursion depth mismatch"). `positive_data_acceptance` would refuse every rule that JSON Schema has no words for, such as two
 * fields that exclude each other.
 */
const FLAGS = [
  "--seed",
  "1",
  "--workers",
  "1",
  "--max-examples",
  "4",
  "--rate-limit",
  "45/s",
  "--request-timeout",
  "20",
];
const RUN_MAX_MS = 240_000;

interface Verdict {
  readonly code: number;
  readonly text: string;
}

describePython("the description of a running broker", (interpreters) => {
  let broker: DirectBroker;
  let folder: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "waybill-schemathesis-"));
    const guestScopes = ["jobs", "manage", "admin"] as const;
    broker = await startDirectBroker({}, { guests: Object.keys(PARTS).length, guestScopes, limits: NO_LIMITS });
  });

  afterAll(async () => {
    await broker?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function check(key: string, config: string, more: readonly string[]): Promise<Verdict> {
    const own = mkdtempSync(join(folder, "run-"));
    writeFileSync(join(own, "schemathesis.toml"), config);
    const tool = join(dirname(interpreters.schemathesis), "schemathesis");
    const header = ["-H", `Authorization: Bearer ${key}`, "--no-color", "--exclude-checks", "positive_data_acceptance"];
    const args = ["run", `${broker.url}/openapi.json`, ...header, ...FLAGS, ...more];
    try {
      const { stdout } = await run(tool, args, { cwd: own, timeout: RUN_MAX_MS, maxBuffer: 64 * 1024 * 1024 });
      return { code: 0, text: stdout };
    } catch (error) {
      const { code, stdout = "" }: { code?: unknown; stdout?: string } = Object(error);
      return { code: typeof code === "number" ? code : -1, text: stdout === "" ? String(error) : stdout };
    }
  }

  /** Ids of what is there, or most calls would be 404. What deletes gets one that is there for that. */
  async function configFor(key: string, slug: string): Promise<string> {
    const make = async (path: string, body: object) => {
      const response = await callBroker(`${broker.url}${path}`, key, { body: JSON.stringify(body) });
      return idSchema.parse(await response.json()).id;
    };
    // A key that may be changed and revoked in place of the one that makes the calls, whose id answers have.
    const victim = await make("/v1/keys", { name: "victim", scopes: ["jobs"] });
    const endpoint = await make("/v1/endpoints", { slug });
    // What deletes would else find the other one in a list, and from then on all calls about that are 404.
    const doomed = await make("/v1/endpoints", { slug: `${slug}-doomed` });
    const job = await make(`/v2/${endpoint}/run`, { input: {} });
    return [
      '[warnings]\nfail-on = ["missing_auth", "missing_deserializer", "unsupported_regex"]',
      `[[operations]]\ninclude-method-regex = "GET|POST|PATCH|PUT"\nparameters = { "path.endpoint" = "${endpoint}", wait = 1000 }`,
      `[[operations]]\ninclude-method-regex = "DELETE"\nparameters = { "path.endpoint" = "${doomed}" }`,
      `[[operations]]\ninclude-path-regex = "/[{]endpoint[}]/(status|status-sync|stream|cancel|retry)/|/v1/jobs/"\nparameters = { id = "${job}" }`,
      `[[operations]]\ninclude-path-regex = "/v1/keys/[{]key[}]"\nparameters = { key = "${victim}" }`,
    ].join("\n\n");
  }

  it.concurrent.each(Object.entries(PARTS))(
    "has no answer %s that is not described",
    { timeout: RUN_MAX_MS + 30_000 },
    async (name, flags) => {
      const at = Object.keys(PARTS).indexOf(name);
      const key = broker.guestKeys[at] ?? "";
      const verdict = await check(key, await configFor(key, `fuzz-${at}`), flags);
      expect(verdict.code, verdict.text).toBe(0);
      expect(verdict.text).toMatch(/Test cases:\n\s+\d{3,} generated/);
    },
  );

  it("fails with a wrong key, where every answer is a 401", { timeout: 60_000 }, async () => {
    const config = '[warnings]\nfail-on = ["missing_auth"]\n';
    const some = ["--include-path", "/v1/depth", "--phases", "fuzzing"];
    const verdict = await check(`wb_live_${"0".repeat(20)}`, config, some);
    expect(verdict.code).toBe(1);
    expect(verdict.text).toContain("Authentication failed");
  });
});
