// The example page in a real browser, against a broker: it runs a job and shows its stream with a token, and is refused from another
// origin, after the token's calls, after its time, and for another endpoint.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { connect, createServer as createLine, type Socket } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import * as z from "zod";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { callBroker, type RunningBroker, startBroker } from "../running/broker.ts";
import { describeChromium } from "./chromium.ts";
import { until } from "./worker-processes.ts";

const run = promisify(execFile);
const PAGE = readFileSync(join(PROJECT_FOLDER, "examples/browser/index.html"));
const jobSchema = z.object({ id: z.string(), input: z.object({ text: z.string() }) });

/** Serves the example page. `127.0.0.1` and `localhost` are two origins of it. */
async function servePage(): Promise<{ readonly port: number; readonly server: Server }> {
  const server = createServer((_, response) => {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(PAGE);
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the page's server got no port");
  return { port: address.port, server };
}

/** A way to the broker whose connections can be cut. */
async function openLine(brokerUrl: string) {
  const sockets = new Set<Socket>();
  const server = createLine((socket) => {
    const further = connect(Number(new URL(brokerUrl).port), "127.0.0.1");
    for (const one of [socket, further]) sockets.add(one.on("error", () => one.destroy()));
    socket.pipe(further).pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the line got no port");
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const close = (): void => {
    cut();
    server.close();
  };
  return { url: `http://127.0.0.1:${address.port}`, cut, close };
}

/** A worker that takes jobs as RunPod's Python workers do, and streams the words of each. */
class Worker {
  readonly #url: string;
  readonly #key: string;
  readonly #stop = new AbortController();
  readonly taken: string[] = [];
  /** Awaited behind each word. */
  pause: () => Promise<unknown> = async () => undefined;
  readonly over: Promise<void>;

  constructor({ url, workerKeys }: RunningBroker, slug: string) {
    const { endpointId = "", key = "" } = workerKeys[slug] ?? {};
    this.#url = `${url}/v2/${endpointId}`;
    this.#key = key;
    this.over = this.#work();
  }

  stop(): Promise<void> {
    this.#stop.abort();
    return this.over;
  }

  async #work(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const polled = await this.#call("job-take/w1?gpu=L4&job_in_progress=0").catch(() => null);
      if (polled?.status !== 200) continue;
      const { id, input } = jobSchema.parse(await polled.json());
      this.taken.push(id);
      const words = input.text.split(" ");
      for (const word of words) {
        await this.#call(`job-stream/w1/${id}?gpu=L4`, JSON.stringify({ output: `${word} ` }));
        await this.pause();
      }
      await this.#call(`job-done/w1/${id}?gpu=L4`, JSON.stringify({ output: words }));
    }
  }

  #call(path: string, body?: string): Promise<Response> {
    return callBroker(`${this.#url}/${path}`, this.#key, { body, signal: this.#stop.signal });
  }
}

describeChromium("the example page", (launch) => {
  let broker: RunningBroker;
  let browser: Browser;
  let site: Awaited<ReturnType<typeof servePage>>;
  let worker: Worker;
  let page: Page;

  beforeAll(async () => {
    site = await servePage();
    broker = await startBroker({ words: { workers: {} }, other: { workers: {} }, waiting: {} });
    worker = new Worker(broker, "words");
    browser = await launch();
    const allowedOrigins = [`http://127.0.0.1:${site.port}`, new URL(broker.url).origin];
    for (const slug of ["words", "other", "waiting"]) {
      const body = JSON.stringify({ allowedOrigins });
      const changed = await fetch(`${broker.url}/v1/endpoints/${slug}`, {
        method: "PATCH",
        headers: { authorization: `Bearer ${broker.key}` },
        body,
      });
      expect(changed.status).toBe(200);
    }
  });

  afterAll(async () => {
    await browser?.close();
    await worker?.stop();
    await broker?.stop();
    site?.server.close();
  });

  beforeEach(async () => {
    page = await browser.newPage();
  });

  afterEach(async () => {
    await page.close();
  });

  async function makeToken(wanted: object = {}, slug = "words"): Promise<string> {
    const made = await broker.call(`/v1/endpoints/${slug}/tokens`, JSON.stringify(wanted));
    expect(made.status).toBe(201);
    return z.object({ token: z.string() }).parse(await made.json()).token;
  }

  async function open(token: string, { host = "127.0.0.1", endpoint = "words" } = {}): Promise<void> {
    await page.goto(`http://${host}:${site.port}/`);
    await page.fill("[name=base]", broker.url);
    await page.fill("[name=endpoint]", endpoint);
    await page.fill("[name=token]", token);
  }

  /** Runs the job of the form. Returns what the page says in the end. */
  async function runJob(): Promise<string> {
    await page.click("button[type=submit]");
    const said = page.locator("#state", { hasText: /: [A-Z_]{6,}|^Refused|^No answer/ });
    return (await said.textContent()) ?? "";
  }

  /** What is answered to the commands of the example's README, in their order, for the origin of these tests. */
  async function typeReadme(): Promise<unknown[]> {
    const readme = readFileSync(join(PROJECT_FOLDER, "examples/browser/README.md"), "utf8");
    const commands = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, command = ""]) => command);
    const answers: unknown[] = [];
    for (const command of commands) {
      const typed = command.replaceAll("http://localhost:8000", `http://127.0.0.1:${site.port}`);
      const env = { ...process.env, WAYBILL: broker.url, WAYBILL_KEY: broker.key };
      answers.push(JSON.parse((await run("bash", ["-c", typed], { env })).stdout));
    }
    return answers;
  }

  it("runs a job and shows its stream with the token of its README", async () => {
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(error.message));
    const [changed, made] = await typeReadme();
    expect(changed).toMatchObject({ allowedOrigins: [`http://127.0.0.1:${site.port}`], applied: true });
    const { token, ...rest } = z.looseObject({ token: z.string() }).parse(made);
    expect(rest).toMatchObject({ calls: 5, origin: `http://127.0.0.1:${site.port}` });
    await open(token);
    expect(await runJob()).toMatch(/^Job \S+-u\d: COMPLETED$|^Job .*: COMPLETED$/);
    expect(await page.textContent("#output")).toBe("to be or not to be ");
    expect(errors).toEqual([]);
  });

  it("goes on behind the last word that it has shown when its connection was cut", async () => {
    const goOn = Promise.withResolvers<void>();
    worker.pause = () => goOn.promise;
    const asked: (string | undefined)[] = [];
    page.on("request", (request) => {
      if (request.url().includes("/stream/")) asked.push(request.headers()["last-event-id"]);
    });
    const line = await openLine(broker.url);
    await open(await makeToken());
    await page.fill("[name=base]", line.url);
    await page.click("button[type=submit]");
    await page.locator("#output", { hasText: "to" }).waitFor();
    line.cut();
    await until("the page asks again", () => asked.length > 1);
    worker.pause = async () => undefined;
    goOn.resolve();
    await page.locator("#state", { hasText: "COMPLETED" }).waitFor();
    expect(await page.textContent("#output")).toBe("to be or not to be ");
    expect(asked[0]).toBeUndefined();
    expect(asked.at(-1)).toBeDefined();
    line.close();
  });

  it("cancels a job that waits", async () => {
    await open(await makeToken({}, "waiting"), { endpoint: "waiting" });
    await page.click("button[type=submit]");
    await page.click("#cancel:not([disabled])");
    await page.locator("#state", { hasText: "CANCELLED" }).waitFor();
  });

  it("is refused from another origin, and no job comes of it", async () => {
    const before = worker.taken.length;
    const token = await makeToken();
    await open(token, { host: "localhost" });
    expect(await runJob()).toMatch(/^No answer for pages of http:\/\/localhost:/);
    expect(worker.taken.length).toBe(before);
    // The token's one call is still there for the page that may use it.
    await open(token);
    expect(await runJob()).toContain("COMPLETED");
  });

  it("is refused from an allowed origin that is not the token's", async () => {
    await open(await makeToken({ origin: "https://app.example" }));
    expect(await runJob()).toMatch(/^Refused \(403\): pages of this origin/);
  });

  it("of the broker's own origin reads by a token of that origin, although a browser then names no origin", async () => {
    const token = await makeToken({ origin: new URL(broker.url).origin }, "waiting");
    await page.goto(`${broker.url}/healthz`);
    const reads: (string | undefined)[] = [];
    page.on("request", (request) => {
      if (request.method() === "GET") reads.push(request.headers().origin);
    });
    const statuses = await page.evaluate(async (authorization) => {
      const headers = { authorization };
      const submitted = await fetch("/v2/waiting/run", { method: "POST", headers, body: '{"input":{}}' });
      const { id } = await submitted.json();
      const read = await fetch(`/v2/waiting/status/${id}`, { headers });
      return [submitted.status, read.status];
    }, `Bearer ${token}`);
    expect(statuses).toEqual([200, 200]);
    expect(reads).toEqual([undefined]);
  });

  it("is refused after its calls", async () => {
    await open(await makeToken({ calls: 2 }));
    expect(await runJob()).toContain("COMPLETED");
    expect(await runJob()).toContain("COMPLETED");
    expect(await runJob()).toMatch(/^Refused \(403\): this token has submitted all/);
  });

  it("is refused after its time", async () => {
    await open(await makeToken({ calls: 1_000, expiresInSeconds: 3 }));
    expect(await runJob()).toContain("COMPLETED");
    const refused = await until("the token ends", async () => {
      const said = await runJob();
      return said.includes("COMPLETED") ? undefined : said;
    });
    expect(refused).toMatch(/^Refused \(401\): this token has ended/);
  });

  it("is refused for another endpoint", async () => {
    await open(await makeToken(), { endpoint: "other" });
    expect(await runJob()).toMatch(/^Refused \(404\): no such endpoint/);
  });
});
