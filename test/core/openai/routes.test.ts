// Which routes of an OpenAI server the list of an endpoint opens.
import { describe, expect, it } from "vitest";
import { allowsRoute, isWideForm, openAiRoutesProblem, routesInForce } from "../../../src/core/openai/routes.ts";

describe("the usual list", () => {
  it.each([
    "POST /v1/chat/completions",
    "POST /v1/completions",
    "POST /v1/embeddings",
    "POST /v1/responses",
    "POST /v1/audio/speech",
    "POST /v1/audio/transcriptions",
    "POST /v1/audio/translations",
    "POST /v1/images/generations",
    "POST /v1/images/edits",
    "POST /v1/images/variations",
    "POST /v1/moderations",
    "POST /v1/rerank",
    "POST /v2/rerank",
    "POST /rerank",
    "POST /score",
    "POST /v1/score",
    "POST /classify",
    "POST /pooling",
    "POST /tokenize",
    "POST /detokenize",
    "GET /v1/models",
    "GET /v1/models/gpt-4o:tuned",
    "GET /v1/models/meta-llama/Llama-3",
    "GET /v1/models/meta-llama%2FLlama-3",
    "GET /v1/models/m%20b",
  ])("opens %s", (route) => expect(allows("inference", route)).toBe(true));

  it.each([
    // What takes something from others: vLLM, Ollama, llama.cpp, LocalAI, OpenAI.
    "POST /sleep",
    "POST /wake_up",
    "POST /v1/load_lora_adapter",
    "POST /v1/unload_lora_adapter",
    "POST /reset_prefix_cache",
    "DELETE /api/delete",
    "POST /api/pull",
    "GET /slots",
    "POST /slots/0",
    "GET /metrics",
    "DELETE /v1/models/m",
    "GET /v1/files",
    "GET /v1/files/f/content",
    "POST /v1/batches",
    "GET /v1/responses/resp_1",
    "DELETE /v1/responses/resp_1",
    "POST /v1/responses/resp_1/cancel",
    "GET /v1/chat/completions",
    "PUT /v1/chat/completions",
    // The same letters in another dress.
    "POST /V1/chat/completions",
    "POST /v1/Chat/Completions",
    "POST /v1/chat/completions/",
    "POST /v1//chat/completions",
    "POST //v1/chat/completions",
    "POST /v1/chat%2Fcompletions",
    "POST /v1/ch%61t/completions",
    "POST /v1/chat/completions;x",
    "POST /v1/chat/completions%00",
    "POST /v1/chat/completions/../../../sleep",
    "POST /v1/chat/completions%2f..%2f..%2f..%2fsleep",
    "post /v1/chat/completions",
    "GET /v1/models/",
    "GET /v1/models/..",
    "GET /v1/models/%2e%2e",
    "GET /v1/models/a%2F..%2F..%2Fsleep",
    "GET /v1/models/a%2f%2e%2e%2fb",
    "GET /v1/models/a%252f..%252fb",
    "GET /v1/models/..;/sleep",
    "GET /v1/models/a%5c..%5cb",
    "GET /v1/models/a//b",
    "GET /v1/models/a%zz",
    "GET /v1/models/a%0d%0aX",
    "GET /v1/models/a%3fb",
  ])("leaves %s closed", (route) => expect(allows("inference", route)).toBe(false));
});

describe("a list of an operator's own", () => {
  it("stands beside the usual one where it has that word, and in its place where it has not", () => {
    const beside = "inference, GET /v1/files/*";
    expect(["GET /v1/files/f1", "POST /v1/embeddings"].map((route) => allows(beside, route))).toEqual([true, true]);
    const alone = "POST /v1/embeddings";
    expect(["POST /v1/embeddings", "GET /v1/models"].map((route) => allows(alone, route))).toEqual([true, false]);
  });

  it("has one name for each *, and any for ** at the end", () => {
    const list = "GET /v1/files/*/content,GET /api/**";
    const context = ["/v1/files/f1/content", "/v1/files/a/b/content", "/v1/files/a%2Fb/content", "/v1/files//content"];
    expect(context.map((path) => allowsRoute(list, "GET", path))).toEqual([true, false, false, false]);
    expect(["/api/a", "/api/a/b", "/api", "/api/"].map((path) => allowsRoute(list, "GET", path))).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it.each([
    ["", "neither"],
    ["inference,", "neither"],
    ["files", "neither"],
    ["GET files", "neither"],
    ["FETCH /v1/files", "neither"],
    ["GET /v1/files?x=1", "neither"],
    ["GET /v1/fil*", "stands for one whole name"],
    ["GET /v1/files/**/content", "stands for one whole name"],
    ["GET /v1/../admin", "dots"],
    ["inference,all", "stands alone"],
    ["POST /**", "as wide as"],
    ["POST /*", "as wide as"],
    ["POST /v1/**", "as wide as"],
    ["POST /v1/*", "as wide as"],
  ])("is not %j: %s", (list, why) => {
    expect(openAiRoutesProblem(list)).toContain(why);
    expect(allows(list, "POST /v1/load_lora_adapter")).toBe(false);
  });

  it.each(["inference", "all", "inference,GET /v1/files/*", "POST /v1/embeddings , GET /v1/models"])(
    "may be %j",
    (list) => expect(openAiRoutesProblem(list)).toBeNull(),
  );
});

describe("the wide form", () => {
  it("opens every method and path but those that a server may read as another one", () => {
    expect(["POST /sleep", "DELETE /v1/files/f", "GET /v1/files/"].map((route) => allows("all", route))).toEqual([
      true,
      true,
      true,
    ]);
    const tricks = ["GET /v1/%2e%2e/x", "GET /v1/a%2f..%2f..%2fx", "GET /v1//x", "GET /v1/a%5cb", "GET /v1/a%00"];
    expect(tricks.map((route) => allows("all", route))).toEqual(tricks.map(() => false));
  });

  it("does not hold in an endpoint that is shared, whichever came first", () => {
    expect(routesInForce({ openaiRoutes: "all", shared: false })).toBe("all");
    expect(isWideForm(routesInForce({ openaiRoutes: " all ", shared: true }))).toBe(false);
    const named = { openaiRoutes: "inference,GET /v1/files/*", shared: true };
    expect(routesInForce(named)).toBe(named.openaiRoutes);
  });
});

function allows(list: string, route: string): boolean {
  const [method = "", path = ""] = route.split(" ");
  return allowsRoute(list, method, path);
}
