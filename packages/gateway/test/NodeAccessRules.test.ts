import { assert, describe, it } from "@effect/vitest"
import * as NodeAccessRules from "@keelson/gateway/NodeAccessRules"

const clientOf = NodeAccessRules.clientAddress(["10.0.0.0/8", "2001:db8:ffff::/48", "127.0.0.1"])

describe("NodeAccessRules", () => {
  it("[S4-48] allow and block take networks and addresses, and allow wins", () => {
    const both = NodeAccessRules.make({ allow: ["10.9.1.0/24", "192.0.2.1"], block: ["10.0.0.0/8"] })
    assert.isTrue(both("10.9.1.255"))
    assert.isTrue(both("192.0.2.1"))
    assert.isFalse(both("10.9.2.0"))
    assert.isFalse(both("192.0.2.2"))
    const block = NodeAccessRules.make({ allow: [], block: ["10.0.0.0/8", "2001:db8::/32"] })
    assert.isFalse(block("10.255.255.255"))
    assert.isFalse(block("2001:db8:1::1"))
    assert.isTrue(block("11.0.0.0"))
    assert.isTrue(block("2001:db9::"))
    assert.isTrue(NodeAccessRules.make({ allow: [], block: [] })("no address"))
  })

  it("[R35] a mapped address is IPv4 in every notation, also in the rules", () => {
    const block = NodeAccessRules.make({ allow: [], block: ["10.0.0.0/8"] })
    for (
      const address of [
        "::ffff:10.1.2.3",
        "::FFFF:10.1.2.3",
        "::ffff:a01:203",
        "0:0:0:0:0:ffff:0a01:0203",
        "0::ffff:10.1.2.3",
        "::ffff:10.1.2.3%eth0"
      ]
    ) {
      assert.isFalse(block(address), address)
    }
    const mapped = NodeAccessRules.make({ allow: [], block: ["::ffff:10.0.0.0/104", "::ffff:192.0.2.1"] })
    assert.isFalse(mapped("10.200.0.1"))
    assert.isFalse(mapped("192.0.2.1"))
    assert.isTrue(mapped("192.0.2.2"))
    assert.isTrue(block("::ffff:11.0.0.1"))
    assert.isTrue(block("2001:db8::ffff:a01:203"))
    assert.isFalse(NodeAccessRules.make({ allow: [], block: ["fe80::/10"] })("fe80::1%eth0"))
  })

  it("[R35] text that is no address may not reach a bucket with rules", () => {
    for (const rules of [{ allow: ["0.0.0.0/0", "::/0"], block: [] }, { allow: [], block: ["10.0.0.0/8"] }]) {
      const mayReach = NodeAccessRules.make(rules)
      for (const text of ["", "unknown", "010.0.0.1", "10.0.0", "1.2.3.4.5", "::1::", "[::1]"]) {
        assert.isFalse(mayReach(text), text)
      }
    }
  })

  it("[R35] the client is the socket's address unless that is a listed proxy", () => {
    assert.strictEqual(clientOf("192.0.2.9", "1.1.1.1"), "192.0.2.9")
    assert.strictEqual(clientOf("::ffff:192.0.2.9", "1.1.1.1"), "192.0.2.9")
    assert.strictEqual(clientOf("::ffff:10.0.0.1", "192.0.2.7"), "192.0.2.7")
    assert.strictEqual(clientOf("10.0.0.1", undefined), "10.0.0.1")
    assert.strictEqual(clientOf(undefined, "192.0.2.7"), "")
    assert.strictEqual(NodeAccessRules.clientAddress([])("10.0.0.1", "192.0.2.7"), "10.0.0.1")
  })

  it("[R35] [S4-45] proxies are counted from the right, and what a client invents is not read", () => {
    assert.strictEqual(clientOf("10.0.0.1", "1.1.1.1, 192.0.2.7"), "192.0.2.7")
    assert.strictEqual(clientOf("10.0.0.1", "127.0.0.1, 192.0.2.7, 10.3.3.3,2001:db8:ffff::2"), "192.0.2.7")
    assert.strictEqual(clientOf("10.0.0.1", ["1.1.1.1", "192.0.2.7"]), "192.0.2.7")
    assert.strictEqual(clientOf("10.0.0.1", "10.0.0.3"), "10.0.0.3")
    assert.strictEqual(clientOf("10.0.0.1", "192.0.2.7:5123"), "192.0.2.7")
    assert.strictEqual(clientOf("10.0.0.1", "[2001:db8::7]:5123"), "2001:db8::7")
    assert.strictEqual(clientOf("10.0.0.1", "[2001:db8::7]"), "2001:db8::7")
    assert.strictEqual(clientOf("10.0.0.1", "::ffff:192.0.2.7"), "192.0.2.7")
  })

  it("[R35] where a proxy appended no address, the client is that proxy", () => {
    for (
      const text of [
        "",
        " ",
        "unknown",
        "192.0.2.7,",
        "192.0.2.7, _hidden",
        "1.2.3.4.5",
        "192.0.2.7 192.0.2.8",
        "\"192.0.2.7\""
      ]
    ) {
      assert.strictEqual(clientOf("10.0.0.1", text), "10.0.0.1", text)
    }
    assert.strictEqual(clientOf("10.0.0.1", "192.0.2.7, unknown, 10.0.0.2"), "10.0.0.2")
  })

  it("[R35] the addresses of a /64 are counted as one client", () => {
    const same = [
      "2001:db8:0:1::",
      "2001:db8::1:0:0:0:5",
      "2001:DB8:0:1:ffff:ffff:ffff:ffff",
      "2001:0db8:0000:0001::1.2.3.4"
    ]
    assert.deepStrictEqual(new Set(same.map(NodeAccessRules.rateKey)), new Set(["2001:db8:0:1"]))
    assert.notStrictEqual(NodeAccessRules.rateKey("2001:db8:0:2::"), NodeAccessRules.rateKey(same[0]!))
    assert.strictEqual(NodeAccessRules.rateKey("::1"), "0:0:0:0")
    assert.strictEqual(NodeAccessRules.rateKey("no address"), "")
    assert.notStrictEqual(NodeAccessRules.rateKey("::ffff:1.2.3.4"), NodeAccessRules.rateKey("::ffff:1.2.3.5"))
  })
})
