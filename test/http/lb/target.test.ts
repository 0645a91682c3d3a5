// Which load-balanced endpoint a URL names, where hosts stand for endpoints and Waybill itself has a host beside them.
import { describe, expect, it } from "vitest";
import { findLbTarget } from "../../../src/http/lb/target.ts";

const HOSTS = { lbDomain: "example.com", publicUrl: "https://waybill.example.com" };

describe("a host of the load-balanced domain", () => {
  it.each([
    ["https://ep.example.com/x?y=1", { endpoint: "ep", path: "/x", search: "?y=1" }],
    ["https://EP.Example.com:8443/", { endpoint: "ep", path: "/", search: "" }],
    ["https://ep.example.com/lb/other/x", { endpoint: "ep", path: "/lb/other/x", search: "" }],
    ["https://ep.example.com/lb/other", { endpoint: "ep", path: "/lb/other", search: "" }],
  ])("%s is for its endpoint, whatever the path", (url, target) => {
    expect(findLbTarget(new URL(url), HOSTS)).toEqual(target);
  });

  it.each([
    "https://waybill.example.com/v2/ep/health",
    "https://example.com/x",
    "https://a.b.example.com/x",
    "https://epexample.com/x",
    "https://ep.example.com.evil.test/x",
    "https://ep.example.com./x",
  ])("%s is for no endpoint", (url) => {
    expect(findLbTarget(new URL(url), HOSTS)).toBeNull();
  });

  it("does not take the path of Waybill's own host", () => {
    const target = findLbTarget(new URL("https://waybill.example.com/lb/ep/x"), HOSTS);
    expect(target).toEqual({ endpoint: "ep", path: "/x", search: "" });
  });
});
