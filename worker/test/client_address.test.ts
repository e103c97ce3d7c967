// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";
import { contains, type Network, parseAddress, parseNetwork } from "../src/address";
import { clientAddress } from "../src/client_address";

const network = (text: string) => parseNetwork(text) as Network;
const inside = (block: string, address: string) => contains(network(block), parseAddress(address) ?? []);

test.each([
  ["10.0.0.0/8", "10.255.0.1", true],
  ["10.0.0.0/8", "11.0.0.1", false],
  ["10.0.0.9/8", "10.1.1.1", true],
  ["0.0.0.0/0", "192.0.2.1", true],
  ["0.0.0.0/0", "2001:db8::1", false],
  ["192.0.2.1", "192.0.2.1", true],
  ["192.0.2.1", "::ffff:192.0.2.1", true],
  ["192.0.2.1", "192.0.2.0", false],
  ["192.0.2.128/25", "192.0.2.127", false],
  ["2001:db8::/33", "2001:db8:7fff::1", true],
  ["2001:db8::/33", "2001:db8:8000::1", false],
  ["::/0", "2001:db8::1", true],
  ["::1", "::1", true],
])("%s has %s: %j", (block, address, has) => {
  expect(inside(block, address)).toBe(has);
});

test.each([
  "",
  "a",
  "10.0.0.0/33",
  "10.0.0/8",
  "::/129",
  "::1/",
  "::1/a",
  "::1/1/1",
  "256.0.0.1",
  "1::2::3",
  "::1.2.3",
])("no block: %j", (text) => {
  expect(parseNetwork(text)).toBeNull();
});

const proxies = [network("192.0.2.0/24"), network("::1")];
test.each([
  // peer, header, client
  ["198.51.100.1", null, "198.51.100.1"],
  ["198.51.100.1", "203.0.113.5", "198.51.100.1"], // a stranger who reaches us directly
  ["192.0.2.1", "203.0.113.5", "203.0.113.5"],
  ["192.0.2.1", null, "192.0.2.1"],
  ["192.0.2.1", "", "192.0.2.1"],
  ["192.0.2.1", "10.1.1.1, 203.0.113.5", "203.0.113.5"], // the left one is the client's own word
  ["192.0.2.1", "10.1.1.1,203.0.113.5 ,192.0.2.7", "203.0.113.5"],
  ["192.0.2.1", "192.0.2.9, 192.0.2.8", "192.0.2.9"],
  ["192.0.2.1", "203.0.113.5, nonsense", "192.0.2.1"],
  ["192.0.2.1", "203.0.113.5,", "192.0.2.1"],
  ["::1", "[2001:db8::1]:4000", "[2001:db8::1]:4000"],
  ["", "203.0.113.5", ""],
])("from %j with %j comes %j", (peer, header, client) => {
  expect(clientAddress(peer, header, proxies)).toBe(client);
});

test("a platform names the client itself", () => {
  expect(clientAddress("", "203.0.113.5", "platform")).toBe("203.0.113.5");
  expect(clientAddress("", "10.1.1.1, 203.0.113.5", "platform")).toBe("203.0.113.5");
  expect(clientAddress("", null, "platform")).toBe("");
});

test("without proxies nobody names another", () => {
  expect(clientAddress("127.0.0.1", "203.0.113.5", [])).toBe("127.0.0.1");
});
