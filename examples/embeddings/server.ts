// The same model as the worker of a load-balanced endpoint: a web server, whose `/ping` is 200 once the model is loaded.
import { Hono } from "hono";
import { serve } from "waybill/worker";
import { loadModel } from "./model.ts";
import { createEmbeddings } from "./openai.ts";

const app = new Hono();

app.post("/v1/embeddings", async (c) => {
  // What is no JSON is refused like a body without a field.
  const answer = await createEmbeddings(await c.req.json().catch(() => null));
  return c.json(answer, "error" in answer ? 400 : 200);
});

await serve(app, { prestart: loadModel });
