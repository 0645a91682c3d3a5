// When a worker names its jobs first: soon after their handlers have begun, and not at all where they have ended by then.
import { randomUUID } from "node:crypto";
import { createServer, type Server } from "node:http";
import { afterAll, beforeAll, beforeEach, expect, it, vi } from "vitest";
import { readEnvironment } from "../../src/sdk/environment.ts";
import { Heartbeat } from "../../src/sdk/heartbeat.ts";
import { makeLog } from "../../src/sdk/log.ts";

/** Longer than any of these tests: what is seen here did not come by the interval. */
const INTERVAL_MS = 600_000;

let server: Server;
let heartbeat: Heartbeat;
/** The jobs that each heartbeat has named. */
let named: string[] = [];

const begin = (...ids: readonly string[]) => heartbeat.setJobs({ ids, working: ids });
const end = () => heartbeat.setJobs({ ids: [], working: [] });
const untilNamed = (ids: string) => vi.waitFor(() => expect(named).toContain(ids), { timeout: 4_000 });

beforeAll(async () => {
  server = createServer(({ url = "/" }, response) => {
    named.push(new URL(url, "http://broker").searchParams.get("job_id") ?? "none");
    response.end("{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the server got no port");
  const url = `http://127.0.0.1:${address.port}`;
  const place = readEnvironment(
    {
      RUNPOD_WEBHOOK_GET_JOB: `${url}/job-take/$ID?gpu=X`,
      RUNPOD_WEBHOOK_POST_OUTPUT: `${url}/done/$ID?x=1`,
      RUNPOD_WEBHOOK_PING: `${url}/ping?gpu=X`,
      RUNPOD_PING_INTERVAL: String(INTERVAL_MS),
    },
    "worker",
  );
  heartbeat = new Heartbeat(place, "1", makeLog({ level: "ERROR", isJson: false, write: () => undefined }));
  await untilNamed("none");
});

beforeEach(() => {
  named = [];
});

afterAll(async () => {
  await heartbeat.stop();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

it("names the first job at once, and a further one beside it soon after", async () => {
  begin("first");
  await untilNamed("first");
  begin("first", "second");
  await untilNamed("first,second");
  end();
});

it("names a job that follows another one", async () => {
  begin("before");
  end();
  begin("after");
  await untilNamed("after");
  end();
});

it("names no job whose handler has ended at once, though its report is still under way", async () => {
  for (let n = 0; n < 50; n += 1) {
    begin(`short-${n}`);
    heartbeat.setJobs({ ids: [`short-${n}`], working: [] });
  }
  begin("long");
  await untilNamed("long");
  expect(named).toEqual(["long"]);
  end();
});

it("names jobs that begin together by one heartbeat", async () => {
  begin("a", "b", "c");
  await untilNamed("a,b,c");
  heartbeat.setJobs({ ids: ["a", "b", "c", "d"], working: ["a", "b", "c", "d"] });
  await untilNamed("a,b,c,d");
  expect(named).toEqual(["a,b,c", "a,b,c,d"]);
  end();
});

it("names all jobs of a worker that runs very many, though no server takes an address with all of them", async () => {
  const ids = Array.from({ length: 700 }, () => `${randomUUID()}-u1`);
  begin(...ids);
  await vi.waitFor(() => expect(new Set(named.flatMap((list) => list.split(",")))).toEqual(new Set(ids)));
  end();
});
