// The page /docs of a running broker, which builds it when it starts.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { type RunningBroker, startBroker } from "./broker.ts";

let broker: RunningBroker;

beforeAll(async () => {
  rmSync(join(PROJECT_FOLDER, "dist"), { recursive: true, force: true });
  broker = await startBroker({});
});

afterAll(async () => {
  await broker?.stop();
});

function get(path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`${broker.url}${path}`, { redirect: "manual", ...init });
}

describe("the page /docs", () => {
  it("is there without a key, with its script and its style under a strict policy", async () => {
    const page = await get("/docs");
    expect(page.status).toBe(200);
    expect(page.headers.get("content-type")).toContain("text/html");
    const policy = page.headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain("unsafe");
    const html = await page.text();
    expect(html).not.toMatch(/<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=/);
    const files = [...html.matchAll(/(?:src|href)="(\/docs\/[^"]+)"/g)].map(([, file = ""]) => file);
    expect(files).toHaveLength(2);
    for (const file of files) {
      const found = await get(file);
      expect(found.status).toBe(200);
      expect(found.headers.get("content-security-policy")).toBe(policy);
      expect((await found.text()).length).toBeGreaterThan(500);
    }
  });

  it("is not sent again to a browser that has it", async () => {
    const etag = (await get("/docs")).headers.get("etag") ?? "";
    expect((await get("/docs", { headers: { "if-none-match": etag } })).status).toBe(304);
  });

  it("is found with a slash at its end, and nothing else of the assets is", async () => {
    const slash = await get("/docs/");
    expect([slash.status, slash.headers.get("location")]).toEqual([307, "/docs"]);
    for (const path of ["/docs/nothing.js", "/docs.html", "/index.html", "/docs/../docs.html"]) {
      const answer = await get(path);
      expect([path, answer.status]).toEqual([path, 404]);
      expect(await answer.json()).toMatchObject({ error: "not found" });
    }
    expect((await get("/docs", { method: "POST" })).status).toBe(405);
  });
});
