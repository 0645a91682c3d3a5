// The keeper: starts and ends programs as its agent orders. It is a process of its own because a killed agent can end nothing any more: when
// the channel to the agent closes, for whatever reason, the keeper ends all programs, and itself. It has neither the agent's environment
// nor its secret.
import process from "node:process";
import { GRACE_MS, type News, orderSchema, type Program } from "./keeper-messages.ts";
import { type KeptProgram, keepProgram } from "./kept-program.ts";

const kept = new Map<number, KeptProgram>();
let isEnding = false;

// A signal to all processes of a terminal, or one that was meant for the agent: what follows from it is the agent's affair.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
process.on("message", (message) => take(message));
process.once("disconnect", endAll);
// The agent may be gone before this process was able to listen.
if (process.connected) tell({ news: "ready" });
else endAll();

function take(message: unknown): void {
  if (isEnding) return;
  const order = orderSchema.parse(message);
  if (order.order === "end") kept.get(order.run)?.end(order.graceMs);
  else start(order.run, order.program);
}

function start(run: number, what: Program): void {
  const program = keepProgram(what);
  kept.set(run, program);
  if (program.pid !== null) tell({ news: "started", run, pid: program.pid });
  program.ended.then(
    (end) => {
      kept.delete(run);
      tell({ news: "ended", run, end });
      endIfDone();
    },
    (error: unknown) => {
      // A program whose end cannot be told would stay in the agent's books: this process ends, and the agent does the rest.
      console.error(error);
      process.exit(1);
    },
  );
}

function tell(news: News): void {
  // The agent may be gone: then nobody waits for it.
  if (process.connected) process.send?.(news, () => undefined);
}

function endAll(): void {
  isEnding = true;
  for (const program of kept.values()) program.end(GRACE_MS);
  endIfDone();
}

function endIfDone(): void {
  if (isEnding && kept.size === 0) process.exit();
}
