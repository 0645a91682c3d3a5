// What the operator's command reads of the deployment before it takes an upstream.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { readReach } from "../../src/cli/deployment.ts";
import { checkUrl } from "../../src/outbound/guard.ts";

const folder = mkdtempSync(join(tmpdir(), "waybill-deployment-"));
const path = join(folder, "wrangler.toml");

afterAll(() => rmSync(folder, { recursive: true }));

describe("an upstream of a deployment", () => {
  it("is refused where its wrangler.toml names its host as the deployment's own", () => {
    writeFileSync(
      path,
      '[vars]\nPUBLIC_URL = "https://waybill.example.org"\n# PUBLIC_URL = "x"\nLB_DOMAIN = "lb.example.org"\n',
    );
    const reach = readReach(true, path);
    expect(reach).toEqual({
      allowPrivate: false,
      publicUrl: "https://waybill.example.org",
      lbDomain: "lb.example.org",
    });
    const given = ["https://waybill.example.org/v2/x", "https://ep.lb.example.org/", "https://gpu.example.org/"];
    expect(given.map((url) => checkUrl(url, reach).ok)).toEqual([false, false, true]);
  });

  it("is judged without them where the variables are empty, as in the wrangler.toml of the project", () => {
    expect(readReach(true)).toEqual({ allowPrivate: false, publicUrl: null, lbDomain: null });
  });

  it("of a developer's machine may have a private address", () => {
    expect(readReach(false, path)).toEqual({ allowPrivate: true, publicUrl: null, lbDomain: null });
  });
});
