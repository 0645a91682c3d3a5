import { describe, expect, it } from "vitest";
import type { WorkerConfig } from "../../src/sdk/handler.ts";
import { makeLog } from "../../src/sdk/log.ts";
import { runOnce } from "../../src/sdk/run-once.ts";

async function run(config: WorkerConfig, input: unknown = null) {
  const printed: string[] = [];
  const logged: string[] = [];
  const log = makeLog({ isJson: false, level: "INFO", write: (line) => logged.push(line) });
  const print = async (line: string) => void printed.push(line);
  const code = await runOnce({ id: "local_test", input }, config, { variables: {}, log, print });
  return { code, printed, logged };
}

describe("one job of the command line", () => {
  it("prints its output and ends with 0", async () => {
    const { code, printed } = await run({ handler: ({ input }) => ({ echo: input }) }, { a: 1 });
    expect([code, printed]).toEqual([0, ['{"output":{"echo":{"a":1}}}']]);
  });

  it("prints each chunk of a generator, and the list of them", async () => {
    const handler = function* () {
      yield 1;
      yield { b: 2 };
    };
    const lines = ['{"output":1}', '{"output":{"b":2}}', '{"output":[1,{"b":2}]}'];
    expect(await run({ handler })).toMatchObject({ code: 0, printed: lines });
    expect(await run({ handler, returnAggregateStream: true })).toMatchObject({ code: 0, printed: lines });
  });

  it("ends with 1 where it fails, and prints why", async () => {
    expect(await run({ handler: () => ({ error: "no", a: 1 }) })).toMatchObject({
      code: 1,
      printed: ['{"output":{"a":1},"error":"no"}'],
    });
    const thrown = await run({
      handler: () => {
        throw new TypeError("boom");
      },
    });
    expect(thrown.code).toBe(1);
    expect(thrown.printed[0]).toContain("boom");
  });

  it("checks its input first, by the path", async () => {
    const config = { handler: () => 1, input: { name: { type: "str" } } } satisfies WorkerConfig;
    expect(await run(config, { name: 2 })).toMatchObject({
      code: 1,
      printed: ['{"error":"input.name: must be a string"}'],
    });
  });

  it("logs progress, and is not begun where the worker cannot work", async () => {
    const shown = await run({ handler: ({ progress }) => progress({ percent: 50 }) });
    expect(shown.logged).toEqual(['INFO  | local_test | progress output={"percent":50}']);
    const prestart = () => {
      throw new Error("no GPU");
    };
    const unfit = await run({ handler: () => 1, prestart });
    expect(unfit).toMatchObject({ code: 1, printed: [] });
    expect(unfit.logged.join()).toContain("no GPU");
  });
});
