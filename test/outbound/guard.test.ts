// The guard of outgoing calls: hostile spellings are refused, honest ones pass.
import { describe, expect, it } from "vitest";
import { checkUrl } from "../../src/outbound/guard.ts";
import { PUBLIC_ONLY } from "../support/reach.ts";

const HOSTILE = [
  "",
  "example.org",
  "//example.org/",
  "http://example.org/",
  "ftp://example.org/",
  "file:///etc/passwd",
  "data:text/plain,x",
  "javascript:alert(1)",
  "blob:https://example.org/x",
  "https:example.org",
  "https:///example.org/",
  "https:\\\\example.org/",
  " https://example.org/",
  "https://example.org/ x",
  "https://example.org/\n",
  "https://example.org/\t",
  "https://example.org/\u0000",
  "https://exämple.org/",
  "https://127。0。0。1/",
  "https://①②⑦.0.0.1/",
  "https://user@example.org/",
  "https://user:pw@example.org/",
  "https://@example.org/",
  "https://:@example.org/",
  "https://example.org@127.0.0.1/",
  "https://example.org/#fragment",
  "https://example.org:80/",
  "https://example.org:22/",
  "https://example.org:0/",
  "https://example.org:99999/",
  "https://127.0.0.1/",
  "https://127.1/",
  "https://2130706433/",
  "https://0x7f000001/",
  "https://0x7f.1/",
  "https://0177.0.0.1/",
  "https://017700000001/",
  "https://%31%32%37.0.0.1/",
  "https://127.0.0.1./",
  "https://0/",
  "https://0.0.0.0/",
  "https://10.0.0.1/",
  "https://169.254.169.254/latest/meta-data/",
  "https://192.168.1.1/",
  "https://8.8.8.8/",
  "https://[::1]/",
  "https://[::]/",
  "https://[::ffff:127.0.0.1]/",
  "https://[::ffff:7f00:1]/",
  "https://[fe80::1]/",
  "https://[fd00:ec2::254]/",
  "https://[64:ff9b::7f00:1]/",
  "https://localhost/",
  "https://LOCALHOST/",
  "https://localhost./",
  "https://a.localhost/",
  "https://metadata.google.internal/",
  "https://printer.local/",
  "https://router.lan/",
  "https://nas.home.arpa/",
  "https://a.svc.cluster.local/",
  "https://a.test/",
  "https://a.invalid/",
  "https://a.onion/",
  "https://intranet/",
  "https://example.org./",
  "https://127.0.0.1.nip.io/",
  "https://nip.io/",
  "https://a.sslip.io/",
  "https://localtest.me/",
  "https://x.lvh.me/",
  "https://10-0-0-1.example.org/",
  "https://a.10.0.0.1.example.org/",
  "https://x-127-0-0-1.example.org/",
  "https://waybill.someone.workers.dev/",
  "https://exa..mple.org/",
  "https://-a.example.org/",
  `https://example.org/${"a".repeat(2_048)}`,
  "https://1.2.3.4.5/",
  "https://a.1/",
  "https://exa%6dple.local/",
];
const HONEST = [
  "https://example.org/",
  "https://EXAMPLE.org/hook?id=1",
  "https://hooks.example.com:443/a",
  "https://gpu.example.net:8443/v2/x",
  "https://api.runpod.ai/v2/abc",
  "https://xn--exmple-cua.org/",
  "https://a-b.c-d.example.co.uk/%20",
  "https://v1.2.example.org/",
  "https://abc-8000.proxy.runpod.net",
  "https://example.org/@user",
];

describe("the guard", () => {
  it.each(HOSTILE)("refuses %j", (text) => {
    expect(checkUrl(text, PUBLIC_ONLY)).toMatchObject({ ok: false });
  });

  it.each(HONEST)("lets %j pass", (text) => {
    expect(checkUrl(text, PUBLIC_ONLY)).toMatchObject({ ok: true });
  });

  it.each(["http://127.0.0.1:8000/", "http://localhost:3000/x", "http://[::1]:1/", "https://10.0.0.1/", "http://gpu/"])(
    "lets %j pass where private addresses are allowed",
    (text) => {
      expect(checkUrl(text, { ...PUBLIC_ONLY, allowPrivate: true })).toMatchObject({ ok: true });
    },
  );

  it.each([
    "file:///etc/passwd",
    "ftp://127.0.0.1/",
    "http://user@127.0.0.1/",
    "http://127.0.0.1/#x",
    "javascript:1",
    "http://a b/",
  ])("refuses %j even where private addresses are allowed", (text) => {
    expect(checkUrl(text, { ...PUBLIC_ONLY, allowPrivate: true })).toMatchObject({ ok: false });
  });

  it.each(["not-a-url", "ftp://127.0.0.1/", "https:///x"])("names the schemes that are allowed there: %j", (text) => {
    const refused = (message: string) => ({ ok: false, message });
    const development = { ...PUBLIC_ONLY, allowPrivate: true };
    expect(checkUrl(text, development)).toEqual(refused("must be an absolute http: or https: URL"));
    expect(checkUrl(text, PUBLIC_ONLY)).toEqual(refused("must be an absolute https: URL"));
  });
});

describe("the deployment's own hosts", () => {
  const DEPLOYED = { allowPrivate: false, publicUrl: "https://Waybill.example.org/base", lbDomain: "lb.example.net" };
  const ON_ONE_MACHINE = { allowPrivate: true, publicUrl: "http://127.0.0.1:8787", lbDomain: "lb.localhost" };

  it.each([
    "https://waybill.example.org/v2/ep/run",
    "https://WAYBILL.example.ORG/",
    "https://waybill.example.org:8443/",
    "https://waybill.example.org?x=1",
    "https://w%61ybill.example.org/",
    "https://lb.example.net/",
    "https://ep.lb.example.net/",
    "https://a.b.LB.example.net/x",
  ])("are refused, however they are written: %s", (text) => {
    expect(checkUrl(text, DEPLOYED)).toEqual({ ok: false, message: "must not lead to this deployment itself" });
    expect(checkUrl(text, PUBLIC_ONLY)).toMatchObject({ ok: true });
  });

  it.each([
    "https://other.example.org/",
    "https://waybill.example.org.example.net/",
    "https://notwaybill.example.org/",
    "https://sub.waybill.example.org/",
    "https://example.net/",
    "https://mylb.example.net/",
    "https://waybill.example.com/v2/another",
  ])("are no others: %s", (text) => expect(checkUrl(text, DEPLOYED)).toMatchObject({ ok: true }));

  it.each([
    "http://127.0.0.1:8787/v2/ep/run",
    "http://localhost:8787/",
    "http://LOCALHOST.:8787/",
    "http://0x7f.1:8787/",
    "http://127.0.0.2:8787/",
    "http://0.0.0.0:8787/",
    "http://[::1]:8787/",
    "http://[::ffff:127.0.0.1]:8787/",
    "http://ep.lb.localhost:8787/",
  ])("are refused where private addresses are allowed, too: %s", (text) => {
    expect(checkUrl(text, ON_ONE_MACHINE)).toEqual({ ok: false, message: "must not lead to this deployment itself" });
  });

  it.each(["http://127.0.0.1:9000/", "http://localhost:8000/v1", "http://127.0.0.1/", "https://127.0.0.1:443/"])(
    "on a developer's machine are no other servers of that machine: %s",
    (text) => expect(checkUrl(text, ON_ONE_MACHINE)).toMatchObject({ ok: true }),
  );

  it("are named by the request as well, which adds to what the settings refuse and takes nothing from it", () => {
    const requestUrl = "https://second.example.org/v2/ep/run";
    const second = "https://second.example.org./hook";
    expect(checkUrl(second, DEPLOYED)).toMatchObject({ message: "must not end its host name with a dot" });
    const refused = { ok: false, message: "must not lead to this deployment itself" };
    for (const settings of [PUBLIC_ONLY, DEPLOYED])
      expect(checkUrl(second, { ...settings, requestUrl })).toEqual(refused);
    for (const own of ["https://waybill.example.org/", "https://ep.lb.example.net/"])
      expect(checkUrl(own, { ...DEPLOYED, requestUrl })).toEqual(refused);
    const local = { ...ON_ONE_MACHINE, publicUrl: null, requestUrl: "http://localhost:8787/v2/ep/run" };
    const given = ["http://127.0.0.1:8787/", "http://127.0.0.1:9000/", "http://ep.lb.localhost:9000/"];
    expect(given.map((text) => checkUrl(text, local).ok)).toEqual([false, true, false]);
  });

  it("of a named host that private addresses are allowed from are compared with their port", () => {
    const named = { allowPrivate: true, publicUrl: "https://box.example.org", lbDomain: null };
    const given = [
      "https://box.example.org/",
      "https://box.example.org:443/",
      "http://box.example.org./",
      "http://box.example.org:8000/",
    ];
    expect(given.map((text) => checkUrl(text, named).ok)).toEqual([false, false, false, true]);
  });
});
