// Payloads at their limits: what comes in goes out byte for byte, and one byte more is refused.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RESULT_MAX_BYTES, RUN_BODY_MAX_BYTES, RUNSYNC_BODY_MAX_BYTES } from "../../src/core/limits.ts";
import { finishJob, type RunningBroker, startBroker } from "../running/broker.ts";
import { type MockWorker, rawInput, startMockWorker } from "../running/mock-worker.ts";
import { digest, fragileJson, rawOutput, requestOf } from "./bodies.ts";

describe("payloads at their limits", () => {
  let reader: MockWorker;
  let writer: MockWorker;
  let broker: RunningBroker;
  let jobsRead = 0;

  beforeAll(async () => {
    reader = await startMockWorker(async (body) => {
      jobsRead += 1;
      return JSON.stringify({ sha256: digest(rawInput(body)), bytes: rawInput(body).length });
    });
    // The input is the size of the result that is wanted.
    writer = await startMockWorker(async (body) => fragileJson(Number(rawInput(body).toString())));
    broker = await startBroker({
      "large-in": { url: reader.url, dialect: "http", slots: 4, credential: null },
      "large-out": { url: writer.url, dialect: "http", slots: 1, credential: null },
    });
  });

  afterAll(async () => {
    await broker?.stop();
    await Promise.all([reader?.stop(), writer?.stop()]);
  });

  const finish = (slug: string, id: string) => finishJob(broker, slug, id);

  async function submit(slug: string, body: Buffer | string): Promise<string> {
    const response = await broker.call(`/v2/${slug}/run`, body);
    const answer = await response.text();
    expect(response.status, answer).toBe(200);
    const job: { id: string } = JSON.parse(answer);
    return job.id;
  }

  it("gives a /run body of exactly 10 MiB to the worker byte for byte", async () => {
    const { body, input } = requestOf(RUN_BODY_MAX_BYTES);
    const job = JSON.parse((await finish("large-in", await submit("large-in", body))).toString());
    expect(job).toMatchObject({ status: "COMPLETED", output: { sha256: digest(input), bytes: input.length } });
  });

  it("gives a /runsync body of exactly 20 MiB to the worker byte for byte", async () => {
    const { body, input } = requestOf(RUNSYNC_BODY_MAX_BYTES);
    const response = await broker.call("/v2/large-in/runsync?wait=60000", body);
    expect(await response.json()).toMatchObject({
      status: "COMPLETED",
      output: { sha256: digest(input), bytes: input.length },
    });
  });

  it.each([
    ["run", RUN_BODY_MAX_BYTES],
    ["runsync", RUNSYNC_BODY_MAX_BYTES],
  ])("refuses one byte more on /%s with 413, and makes no job", async (route, maxBytes) => {
    const countBefore = jobsRead;
    const before = await (await broker.call("/v2/large-in/health")).json();
    const response = await broker.call(`/v2/large-in/${route}`, requestOf(maxBytes + 1).body);
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({
      error: "too large",
      message: expect.stringContaining(`${maxBytes}`),
    });
    expect(await (await broker.call("/v2/large-in/health")).json()).toEqual(before);
    expect(jobsRead).toBe(countBefore);
  });

  it("gives a result of exactly 95 MiB back byte for byte", async () => {
    const id = await submit("large-out", JSON.stringify({ input: RESULT_MAX_BYTES }));
    const output = rawOutput(await finish("large-out", id));
    expect(output.length).toBe(RESULT_MAX_BYTES);
    expect(digest(output)).toBe(digest(fragileJson(RESULT_MAX_BYTES)));
  });

  it("fails a job whose result is one byte more, and names the limit", async () => {
    const id = await submit("large-out", JSON.stringify({ input: RESULT_MAX_BYTES + 1 }));
    const job = JSON.parse((await finish("large-out", id)).toString());
    expect(job).toMatchObject({
      status: "FAILED",
      error: expect.stringContaining(`${RESULT_MAX_BYTES / 1024 / 1024} MiB`),
    });
    expect(job).not.toHaveProperty("output");
  });
});
