import { assert, describe, it } from "@effect/vitest"
import * as Networks from "@keelson/core/unstable/Networks"

const proxies = ["10.0.0.0/8", "fd00::/8"].flatMap((text) => Networks.networkOf(text) ?? [])

describe("Networks", () => {
  it("[R35] the client is the socket's peer, unless that is a listed proxy", () => {
    const cases: ReadonlyArray<readonly [string | undefined, string | undefined, string | undefined]> = [
      [undefined, "1.1.1.1", undefined],
      ["203.0.113.9", "1.1.1.1", "203.0.113.9"],
      ["::ffff:203.0.113.9", undefined, "203.0.113.9"],
      ["10.0.0.1", undefined, "10.0.0.1"],
      ["10.0.0.1", "198.51.100.7", "198.51.100.7"],
      // The first address was written by the client.
      ["10.0.0.1", "6.6.6.6, 198.51.100.7", "198.51.100.7"],
      ["::ffff:10.0.0.1", "6.6.6.6, 198.51.100.7, 10.0.0.2", "198.51.100.7"],
      ["10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"],
      ["fd00::1", "[2001:db8::1]:443", "2001:db8::1"],
      ["10.0.0.1", "198.51.100.7:4711", "198.51.100.7"],
      ["10.0.0.1", "::ffff:198.51.100.7", "198.51.100.7"],
      ["10.0.0.1", "6.6.6.6, unknown", "10.0.0.1"],
      ["10.0.0.1", "6.6.6.6, , 10.0.0.2", "10.0.0.2"],
      ["10.0.0.1", "", "10.0.0.1"],
      ["10.0.0.1", "1.1.1.1\u0000", "10.0.0.1"]
    ]
    for (const [peer, forwarded, expected] of cases) {
      assert.strictEqual(Networks.clientAddress(peer, forwarded, proxies), expected, `${peer} ${forwarded}`)
    }
    assert.strictEqual(Networks.clientAddress("10.0.0.1", "1.1.1.1", []), "10.0.0.1")
    // A long list is not read to its beginning.
    assert.strictEqual(Networks.clientAddress("10.0.0.1", `6.6.6.6${",10.0.0.2".repeat(100_000)}`, proxies), "10.0.0.2")
  })
})
