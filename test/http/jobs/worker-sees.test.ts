// What passes the edge, and what must not: a worker gets every field of a job, and no log line has a key or a body in it.
import { exports } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import { answerUpstreams } from "../../support/broker.ts";
import { makeTenant } from "../../support/tenant.ts";

afterEach(() => vi.restoreAllMocks());

it("a worker gets unknown fields as they came, also one named __proto__", async () => {
  const tenant = await makeTenant({ upstreams: [{}] });
  let received = "";
  answerUpstreams(async (request) => {
    received = await request.text();
    return Response.json({ ok: true });
  });
  const request = new Request(`https://waybill.test/v2/${tenant.endpointId}/runsync`, {
    method: "POST",
    headers: { authorization: tenant.key, "content-type": "application/json" },
    body: '{"input":{"n":1.0},"__proto__":{"a":1e21},"s3Config":{"bucketName":"b"},"note":"\\u2028","metadata":{"order": "7"}}',
  });
  expect(await (await exports.default.fetch(request)).json()).toMatchObject({ status: "COMPLETED" });
  expect(received).toContain(
    '"input":{"n":1.0},"__proto__":{"a":1e21},"s3Config":{"bucketName":"b"},"note":"\\u2028","metadata":{"order": "7"}',
  );
});

it("no log line holds a key, an input or an output", async () => {
  const lines: string[] = [];
  for (const level of ["log", "info", "warn", "error"] as const) {
    vi.spyOn(console, level).mockImplementation((...words: unknown[]) => {
      lines.push(words.map(String).join(" "));
    });
  }
  const tenant = await makeTenant({ upstreams: [{ credential: "upstream-credential" }] });
  answerUpstreams(() => Response.json({ secret: "of the output" }));
  const ask = (path: string, body?: string) => {
    const headers = { authorization: `Bearer ${tenant.key}`, "content-type": "application/json" };
    const init = body === undefined ? { headers } : { method: "POST", headers, body };
    return exports.default.fetch(new Request(`https://waybill.test${path}`, init));
  };
  const answers = [
    await ask(`/v2/${tenant.endpointId}/runsync`, '{"input":"of the input"}'),
    await ask(`/v2/${tenant.endpointId}/run`, '{"input":"of the input","policy":7}'),
    await ask(`/v2/nowhere/run`, '{"input":"of the input"}'),
  ];
  await Promise.all(answers.map((answer) => answer.text()));
  // A request is logged when its answer has gone out.
  for (const { headers } of answers) {
    const id = headers.get("x-request-id") ?? "";
    await vi.waitFor(() =>
      expect(lines.filter((line) => line.includes(id))).toContainEqual(expect.stringContaining('"event":"request"')),
    );
  }
  const said = lines.join("\n");
  for (const secret of [tenant.key, tenant.webhookSecret, "upstream-credential", "of the input", "of the output"]) {
    expect(said).not.toContain(secret);
  }
});
