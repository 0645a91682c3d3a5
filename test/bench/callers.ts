// The callers of the part `load`, a process of its own: in the process of the bench their work would hold up what it measures, and
// here it is counted. Each caller is a closed loop on one kept connection: it calls again once its call is answered.
import { Agent, request } from "node:http";
import { percentile } from "../support/figures.ts";
import { type CallersDone, type CallersOrder, callersOrderSchema } from "./call-loops.ts";

const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });

process.send?.({ port: 0 });
process.on("message", (message) => {
  run(callersOrderSchema.parse(message)).then(
    (done) => process.send?.(done),
    (error: unknown) => process.send?.({ error: error instanceof Error ? error.message : String(error) }),
  );
});
// The bench has ended, by whatever means.
process.once("disconnect", () => process.exit(0));

async function run(order: CallersOrder): Promise<CallersDone> {
  const cpu = process.cpuUsage();
  const fromMs = performance.now();
  const endMs = fromMs + order.forMs;
  const tookMs: number[] = [];
  let calls = 0;
  const loop = async (): Promise<void> => {
    for (let startMs = fromMs; startMs < endMs; ) {
      await call(order);
      const nowMs = performance.now();
      // A call that ends after the round is waited for, so that the next round begins with an idle machine.
      tookMs.push(nowMs - startMs);
      if (nowMs <= endMs) calls += 1;
      startMs = nowMs;
    }
  };
  await Promise.all(Array.from({ length: order.callers }, loop));
  const wholeMs = performance.now() - fromMs;
  const { user, system } = process.cpuUsage(cpu);
  return {
    calls,
    allCalls: tookMs.length,
    p50Ms: percentile(tookMs, 0.5),
    p99Ms: percentile(tookMs, 0.99),
    cores: (user + system) / 1_000 / wholeMs,
  };
}

/** One call; rejects unless it is answered 200 with `proof` in the body. */
function call({ url, headers, body, proof }: CallersOrder): Promise<void> {
  const length = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const asked = request(url, { method: "POST", agent, headers: { ...headers, ...length } }, (response) => {
      let text = "";
      response.setEncoding("latin1");
      response.on("data", (piece: string) => {
        text += piece;
      });
      response.once("error", reject);
      response.once("end", () => {
        if (response.statusCode === 200 && text.includes(proof)) resolve();
        else reject(new Error(`${url} answered ${response.statusCode}: ${text.slice(0, 500)}`));
      });
    });
    asked.once("error", reject);
    asked.end(body);
  });
}
