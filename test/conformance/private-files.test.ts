// Files with a key or a secret in them, as they lie on the disk: nobody but their owner may read them.
import { chmodSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeApi } from "../../src/cli/api.ts";
import { applyMigrations } from "../../src/cli/dev-database.ts";
import { ensureEndpoint, ensureFirst } from "../../src/cli/dev-first.ts";
import { ensureDevSecrets } from "../../src/cli/dev-secrets.ts";
import { writePrivate } from "../../src/cli/private-file.ts";
import { type Operator, startOperator } from "../commands/operator.ts";

let operator: Operator;
const folder = mkdtempSync(join(tmpdir(), "waybill-private-test-"));

beforeAll(async () => {
  operator = await startOperator({ ocr: {} });
});

afterAll(async () => {
  await operator?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function rightsOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}

/** A file as somebody has left it. */
function leave(name: string, rights: number, text = ""): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, rights);
  return path;
}

/** What a command prints into a file that a shell has opened for it. */
async function printInto(path: string, command: string, words: readonly string[]): Promise<string> {
  const file = openSync(path, "w");
  try {
    await operator.runInto(file, command, words);
  } finally {
    closeSync(file);
  }
  return readFileSync(path, "utf8");
}

it("a file that is written with a secret is its owner's alone, whatever it was before", () => {
  const before = leave("wide", 0o666, "a longer text of before");
  const script = leave("script", 0o755);
  for (const path of [before, script, join(folder, "new")]) {
    writePrivate(path, "secret");
    expect(readFileSync(path, "utf8")).toBe("secret");
  }
  expect([before, script, join(folder, "new")].map(rightsOf)).toEqual(["600", "700", "600"]);
});

it("the secrets of development are their owner's alone, also in a file that was there before", () => {
  const path = join(folder, ".dev.vars");
  const made = ensureDevSecrets(folder);
  expect(rightsOf(path)).toBe("600");
  chmodSync(path, 0o644);
  expect(ensureDevSecrets(folder)).toEqual(made);
  expect(rightsOf(path)).toBe("600");
});

it("what npm start keeps of its first start is its owner's alone", { timeout: 60_000 }, async () => {
  const state = join(folder, "state");
  await applyMigrations(state);
  const secrets = ensureDevSecrets(folder);
  const first = await ensureFirst(state, secrets);
  const path = join(state, "first.json");
  expect(readFileSync(path, "utf8")).toContain(first.key);
  expect(rightsOf(path)).toBe("600");
  chmodSync(path, 0o664);
  await ensureFirst(state, secrets);
  expect(rightsOf(path)).toBe("600");
  const api = makeApi({ base: operator.broker.url, key: operator.broker.key, keyFrom: "of the test" });
  const { tenantId } = await operator.json("whoami");
  for (const what of ["made", "kept"]) {
    const known = await ensureFirst(state, secrets);
    chmodSync(path, 0o664);
    const { environment } = await ensureEndpoint(api, state, { ...known, tenantId });
    expect(readFileSync(path, "utf8")).toContain(environment.RUNPOD_AI_API_KEY);
    expect(rightsOf(path), what).toBe("600");
  }
});

describe("a file that a command's output is sent to", { timeout: 60_000 }, () => {
  it("is its owner's alone when a worker's key goes into it, in each form", async () => {
    const path = leave("worker.sh", 0o644);
    for (const form of [["--format", "sh"], ["--format", "docker"], []]) {
      chmodSync(path, 0o644);
      expect(await printInto(path, "worker-env.ts", ["ocr", "--tier", "a4000", ...form])).toContain("wb_live_");
      expect(rightsOf(path)).toBe("600");
    }
    const script = leave("run-worker.sh", 0o775);
    await printInto(script, "worker-env.ts", ["ocr", "--tier", "a4000", "--format", "sh"]);
    expect(rightsOf(script)).toBe("700");
  });

  it("is its owner's alone when a new tenant's secret or a new key goes into it, and is left alone otherwise", async () => {
    const path = leave("out", 0o644);
    const made: { id: string; webhookSecret: string } = JSON.parse(
      await printInto(path, "waybill.ts", ["tenant", "create", "--name", "New", "--json"]),
    );
    expect(made.webhookSecret).toMatch(/^whsec_/);
    expect(rightsOf(path)).toBe("600");
    chmodSync(path, 0o644);
    expect(await printInto(path, "waybill.ts", ["key", "create", "--tenant", made.id])).toContain("wb_live_");
    expect(rightsOf(path)).toBe("600");
    chmodSync(path, 0o644);
    await printInto(path, "waybill.ts", ["list"]);
    expect(rightsOf(path)).toBe("644");
  });
});
