// Whose failures are counted together.
import { describe, expect, it } from "vitest";
import { addressGroup } from "../../../src/core/access/client-address.ts";

describe("an address", () => {
  it("of IPv4 stands for itself", () => {
    expect(addressGroup("203.0.113.7")).toBe("203.0.113.7");
  });

  it.each([
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:0DB8:0001:0002:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::9", "2001:db8:1:2::/64"],
    ["2001:db8::9", "2001:db8:0:0::/64"],
    ["2001:db8::", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
  ])("of IPv6 stands for its network, however it is written: %s", (address, group) => {
    expect(addressGroup(address)).toBe(group);
  });
});
