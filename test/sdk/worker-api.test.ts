// The calls of a worker: how one ends, and what stays of it.
import { createServer, type Server, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readEnvironment } from "../../src/sdk/environment.ts";
import { WorkerApi } from "../../src/sdk/worker-api.ts";

let server: Server;
let url: string;
let api: WorkerApi;
/** The reasons of workers that cannot work. */
const pinged: string[] = [];
/** Answers a poll below /slow. */
let slowly: (response: ServerResponse) => void = () => undefined;

beforeAll(async () => {
  // The first path of a poll is answered at once, the other one is held.
  server = createServer((request, response) => {
    const { url = "" } = request;
    if (url.startsWith("/job-take/")) response.writeHead(204).end();
    else if (url.startsWith("/slow/job-take/")) slowly(response);
    else if (url.startsWith("/done/")) response.writeHead(302, { location: "/login" }).end("<html>");
    else if (url.startsWith("/ping/")) {
      pinged.push(new URL(url, "http://broker").searchParams.get("reason") ?? "");
      response.end("{}");
    } else if (url === "/login") response.writeHead(200).end("<html>");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the server got no port");
  url = `http://127.0.0.1:${address.port}`;
  api = apiOf(url);
});

function apiOf(takeBase: string): WorkerApi {
  const place = {
    RUNPOD_WEBHOOK_GET_JOB: `${takeBase}/job-take/$ID?gpu=X`,
    RUNPOD_WEBHOOK_POST_OUTPUT: `${url}/done/$ID?x=1`,
    RUNPOD_WEBHOOK_PING: `${url}/ping/$RUNPOD_POD_ID?x=1`,
  };
  return new WorkerApi(readEnvironment(place, "worker"), "1");
}

afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

describe("a poll", () => {
  it("ends when the worker does, before and while it is held", async () => {
    const ended = AbortSignal.abort(new Error("the worker ends"));
    expect(await api.take(1, false, ended)).toMatchObject({ status: 0, text: "the worker ends" });
    const ending = new AbortController();
    const held = api.take(2, false, ending.signal);
    ending.abort(new Error("the worker ends"));
    expect(await held).toMatchObject({ status: 0, text: "the worker ends" });
  });

  it("is read to its end where it was being answered: its jobs were handed out", async () => {
    const ending = new AbortController();
    const begun = new Promise<ServerResponse>((resolve) => {
      slowly = (response) => {
        response.write('{"id":"a",');
        resolve(response);
      };
    });
    const taken = apiOf(`${url}/slow`).take(1, false, ending.signal);
    const response = await begun;
    // The head of the answer has to have reached the worker, which shows in nothing but time.
    await sleep(200);
    ending.abort(new Error("the worker ends"));
    response.end('"input":1}');
    expect(await taken).toMatchObject({ status: 200, text: '{"id":"a","input":1}' });
  });

  it("leaves nothing in memory: a worker of short jobs has hundreds of them a second", async () => {
    setFlagsFromString("--expose-gc");
    const collect: () => void = runInNewContext("gc");
    const { signal } = new AbortController();
    const heapAfter = async (polls: number) => {
      for (let polled = 0; polled < polls; polled += 1) await api.take(1, false, signal);
      collect();
      return process.memoryUsage().heapUsed;
    };
    const before = await heapAfter(4_000);
    // It was about a kilobyte each.
    expect((await heapAfter(8_000)) - before).toBeLessThan(4_000_000);
  });
});

describe("a report", () => {
  it("is not taken by an answer that leads elsewhere, which would be asked without the report", async () => {
    expect(await api.done("a", '{"output":1}')).toMatchObject({ status: 302, text: "redirects to /login" });
  });
});

it("tells why a worker cannot work, however long that is: an address that is too long would be refused", async () => {
  await api.unfit("prestart", `no memory ${"字".repeat(20_000)}`);
  expect(pinged).toEqual([expect.stringMatching(/^no memory 字+$/)]);
});
