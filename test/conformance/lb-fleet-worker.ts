// A worker of a load-balanced endpoint, made with the project's own SDK: it takes as long as its caller says.
import { setTimeout as sleep } from "node:timers/promises";
import { serve } from "waybill/worker";

await serve(async (request: Request) => {
  const { searchParams } = new URL(request.url);
  await sleep(Number(searchParams.get("ms") ?? "0"));
  return Response.json({ pid: process.pid });
});
