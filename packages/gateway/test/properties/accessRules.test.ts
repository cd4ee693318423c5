import { assert, describe, it } from "@effect/vitest"
import * as NodeAccessRules from "@keelson/gateway/NodeAccessRules"
import { forAll } from "@keelson/testing/properties"
import fc from "fast-check"

const ipv4 = fc.nat(0xffff_ffff)
const dotted = (value: number): string => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join(".")
const maskOf = (prefix: number): number => prefix === 0 ? 0 : (0xffff_ffff << (32 - prefix)) >>> 0
const network = fc.tuple(ipv4, fc.integer({ min: 0, max: 32 })).map(([value, prefix]) => ({
  base: (value & maskOf(prefix)) >>> 0,
  prefix
}))
type Network = { readonly base: number; readonly prefix: number }
const written = ({ base, prefix }: Network): string => `${dotted(base)}/${prefix}`
const isIn = (address: number, networks: ReadonlyArray<Network>): boolean =>
  networks.some(({ base, prefix }) => ((address & maskOf(prefix)) >>> 0) === base)

describe("properties of access rules", () => {
  it("[S4-48] [R35] a rule decides as arithmetic on addresses does, in both notations", (context) => {
    const lists = fc.array(network, { maxLength: 4 })
    forAll(context, 3000, fc.tuple(lists, lists, ipv4, fc.boolean()), ([allow, block, random, isNear]) => {
      const address = isNear && block[0] !== undefined ? block[0].base : random
      const mayReach = NodeAccessRules.make({ allow: allow.map(written), block: block.map(written) })
      const expected = allow.length > 0 ? isIn(address, allow) : !isIn(address, block)
      assert.strictEqual(mayReach(dotted(address)), expected)
      assert.strictEqual(mayReach(`::ffff:${dotted(address)}`), expected)
      assert.strictEqual(
        mayReach(`::ffff:${(address >>> 16).toString(16)}:${(address & 0xffff).toString(16)}`),
        expected
      )
    })
  })

  it("[R35] whatever a client writes left of what the proxies append changes nothing", (context) => {
    const client = ipv4.map((value) => dotted((value & 0x00ff_ffff) | 0xc000_0000))
    const hops = fc.array(fc.nat(255).map((last) => `10.0.0.${last}`), { maxLength: 3 })
    const clientOf = NodeAccessRules.clientAddress(["10.0.0.0/24"])
    forAll(
      context,
      3000,
      fc.tuple(fc.string({ unit: "binary-ascii", maxLength: 40 }), client, hops),
      ([invented, address, proxies]) => {
        assert.strictEqual(clientOf("10.0.0.1", [`${invented},${address}`, ...proxies].join(", ")), address)
      }
    )
  })

  it("[R35] no text makes a rule throw", (context) => {
    const mayReach = NodeAccessRules.make({ allow: [], block: ["10.0.0.0/8", "2001:db8::/32"] })
    const clientOf = NodeAccessRules.clientAddress(["0.0.0.0/0", "::/0"])
    const text = fc.oneof(
      fc.string({ unit: "binary", maxLength: 30 }),
      fc.array(fc.constantFrom(":", "::", ".", "ffff", "0", "1", "255", "%", ",", "[", "]", " "), { maxLength: 16 })
        .map((parts) => parts.join("")),
      fc.ipV6(),
      fc.ipV4()
    )
    forAll(context, 10_000, fc.tuple(text, text), ([a, b]) => {
      assert.isBoolean(mayReach(a))
      assert.isString(clientOf(a, b))
      assert.isString(NodeAccessRules.rateKey(b))
    })
  })

  it("[R35] two addresses have one rate key if and only if they share their first 64 bits", (context) => {
    const groups = fc.array(fc.constantFrom(0, 1, 0xdb8, 0xffff), { minLength: 8, maxLength: 8 })
      .filter((list) => !(list.slice(0, 5).every((group) => group === 0) && list[5] === 0xffff))
    const full = (list: ReadonlyArray<number>) => list.map((group) => group.toString(16)).join(":")
    const short = (list: ReadonlyArray<number>) => new URL(`http://[${full(list)}]`).hostname.slice(1, -1)
    forAll(context, 3000, fc.tuple(groups, groups), ([a, b]) => {
      assert.strictEqual(NodeAccessRules.rateKey(full(a)), NodeAccessRules.rateKey(short(a)))
      assert.strictEqual(
        NodeAccessRules.rateKey(full(a)) === NodeAccessRules.rateKey(short(b)),
        full(a.slice(0, 4)) === full(b.slice(0, 4))
      )
    })
  })
})
