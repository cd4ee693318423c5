import { assert, describe, it } from "@effect/vitest"
import * as Host from "@keelson/core/unstable/Host"
import { forAll } from "@keelson/testing/properties"
import { Result } from "effect"
import { IpNetwork, NetAddress } from "effect/net"
import fc from "fast-check"
import * as EgressOptions from "../../src/EgressOptions.ts"
import { isReachable } from "../../src/internal/egress/addresses.ts"
import { checkUrl, isListed, serviceRules } from "../../src/internal/egress/rules.ts"

const none = { networks: [], loopback: false }
const nowhere = (address: string, reach: Parameters<typeof isReachable>[1] = none) =>
  !isReachable(NetAddress.ipFromStringUnsafe(address), reach)

const words = (text: string): ReadonlyArray<string> => text.trim().split(/\s+/)

/** The blocks that R17 and IANA's registries name, listed independently of the source. */
const refusedV4 = words(`
  0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24
  192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24
  224.0.0.0/4 240.0.0.0/4 255.255.255.255/32
`)
const refusedV6 = words(`
  ::/128 ::1/128 100::/64 fc00::/7 fe80::/10 fec0::/10 ff00::/8 2001:db8::/32 3fff::/20
  2001:2::/48 2001:10::/28 2001:20::/28 5f00::/16
`)

const numberOf = (octets: ReadonlyArray<number>): bigint =>
  octets.reduce((sum, octet) => sum * 256n + BigInt(octet), 0n)
const octetsOf = (value: bigint, length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => Number((value >> BigInt(8 * (length - 1 - index))) & 255n))
const v4 = (value: bigint) => NetAddress.formatIp(NetAddress.ipv4FromBytesUnsafe(octetsOf(value, 4)))
const v6 = (value: bigint) => NetAddress.formatIp(NetAddress.ipv6FromBytesUnsafe(octetsOf(value, 16)))

const bounds = (cidr: string): readonly [first: bigint, last: bigint] => {
  const { address, prefixLength } = IpNetwork.fromStringUnsafe(cidr)
  const octets = NetAddress.isIpv4Address(address) ? NetAddress.ipv4ToOctets(address) : NetAddress.ipv6ToOctets(address)
  const first = numberOf(octets)
  return [first, first + (1n << BigInt(8 * octets.length - prefixLength)) - 1n]
}

/** Addresses of a block, with its bounds more often than at random. */
const within = (cidr: string): fc.Arbitrary<bigint> => {
  const [first, last] = bounds(cidr)
  return fc.oneof(fc.constantFrom(first, last), fc.bigInt({ min: first, max: last }))
}
const within4 = fc.constantFrom(...refusedV4).chain(within)
const within6 = fc.constantFrom(...refusedV6).chain(within)

const outside = (value: bigint) =>
  !refusedV4.some((cidr) => {
    const [first, last] = bounds(cidr)
    return first <= value && value <= last
  })
const beside = fc.constantFrom(...refusedV4).chain((cidr) => {
  const [first, last] = bounds(cidr)
  return fc.constantFrom(first - 1n, last + 1n)
})
const public4 = fc.oneof(beside, fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }))
  .filter((value) => value >= 0n && value < 2n ** 32n && outside(value))

/** Every way to embed one IPv4 address in IPv6. */
const carried = (value: bigint): ReadonlyArray<string> => [
  v6((0xffffn << 32n) | value),
  v6((0x64ff9bn << 96n) | value),
  v6((0x64ff9b0001n << 80n) | value),
  v6((0x2002n << 112n) | (value << 80n) | 1n),
  // Teredo: the server is a public one, the client's address is inverted.
  v6((0x20010000n << 96n) | (0x08080808n << 64n) | (value ^ 0xffffffffn)),
  v6((0x20010000n << 96n) | (value << 64n) | (0x08080808n ^ 0xffffffffn))
]

describe("Egress rules", () => {
  it("[R17] an IPv4 address of a special block is refused, also embedded in IPv6", (context) =>
    forAll(context, 1_000, within4, (value) => {
      for (const address of [v4(value), ...carried(value)]) assert.isTrue(nowhere(address), address)
    }))

  it("[R17] any other IPv4 address is allowed, also embedded in IPv6", (context) =>
    forAll(context, 1_000, public4, (value) => {
      for (const address of [v4(value), ...carried(value)]) assert.isFalse(nowhere(address), address)
    }))

  it("[R17] an IPv6 address of a special block is refused", (context) =>
    forAll(context, 1_000, within6, (value) => assert.isTrue(nowhere(v6(value)), v6(value))))

  it("[R17] of IPv6 addresses that embed no IPv4, only 2000::/3 is ever allowed", (context) =>
    forAll(context, 1_000, fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }), (value) => {
      const carries = [[80n, 0x64ff9b0001n], [96n, 0x64ff9bn], [32n, 0xffffn]].some(([bits = 0n, prefix]) =>
        value >> bits === prefix
      )
      if (value >> 125n !== 1n && !carries) assert.isTrue(nowhere(v6(value)), v6(value))
    }))

  it("[R27] IPv6 of the allocated blocks is allowed", (context) =>
    forAll(
      context,
      300,
      fc.constantFrom("2400::/12", "2600::/12", "2800::/12", "2a00::/11").chain(within),
      (value) => assert.isFalse(nowhere(v6(value)), v6(value))
    ))

  it("[K-07] an allowed network adds its own addresses and no others; loopback needs a separate option", (context) =>
    forAll(
      context,
      500,
      fc.tuple(within("10.0.0.0/8"), fc.integer({ min: 8, max: 32 }), within4),
      ([base, bits, other]) => {
        const network = Result.getOrThrow(IpNetwork.fromAddress(NetAddress.ipFromStringUnsafe(v4(base)), bits))
        const reach = { networks: [network], loopback: false }
        assert.isFalse(nowhere(v4(base), reach))
        const isOwn = IpNetwork.contains(network, NetAddress.ipFromStringUnsafe(v4(other)))
        assert.strictEqual(nowhere(v4(other), reach), !isOwn)
        assert.strictEqual(nowhere(v4(other), { networks: [], loopback: true }), other >> 24n !== 127n)
      }
    ))

  const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
  const label = fc.string({ unit: fc.constantFrom(...letters.split("")), minLength: 1, maxLength: 8 })
  const name = fc.array(label, { minLength: 0, maxLength: 3 }).map((labels) => [...labels, "test"].join("."))
  const cased = (text: string) =>
    fc.array(fc.boolean(), { minLength: text.length, maxLength: text.length })
      .map((upper) => text.split("").map((char, index) => upper[index] === true ? char.toUpperCase() : char).join(""))
  const spelt = (text: string) => fc.tuple(cased(text), fc.constantFrom("", ".")).map(([a, b]) => a + b)

  it("[S1-20] a host is allowed exactly if it is an entry or a subdomain of one, however both are written", (context) =>
    forAll(
      context,
      1_000,
      fc.tuple(name, fc.array(name, { minLength: 1, maxLength: 3 }), fc.constantFrom("", ".", "x")).chain(
        ([entry, more, join]) => {
          const host = join === "" ? more[0] ?? entry : `${more[0]}${join}${entry}`
          return fc.record({
            host: fc.constant(host),
            list: fc.constant([entry, ...more.slice(1)]),
            as: spelt(host),
            entry: spelt(entry)
          })
        }
      ),
      ({ as, entry, host, list }) => {
        const expected = list.some((one) => host === one || host.endsWith(`.${one}`))
        assert.strictEqual(Host.canonical(as), host)
        assert.strictEqual(isListed(host, [entry, ...list.slice(1)]), expected)
        const rules = serviceRules(EgressOptions.make({ allowedHosts: [entry, ...list.slice(1)] }))
        assert.strictEqual(Result.isSuccess(checkUrl(`https://${as}/`, rules, undefined)), expected)
      }
    ))

  it("[S1-19] [S1-20] rules of a request never allow what the service does not", (context) =>
    forAll(context, 500, fc.tuple(name, fc.array(name), fc.array(name)), ([host, service, rule]) => {
      const url = `https://${host}/`
      const rules = serviceRules(EgressOptions.make({ allowedHosts: service }))
      const alone = Result.isSuccess(checkUrl(url, rules, undefined))
      const both = Result.isSuccess(checkUrl(url, rules, { allowedHosts: rule }))
      assert.strictEqual(both, alone && isListed(host, rule))
    }))

  it("[S1-19] an allowed URL is https, has no user or fragment, and is allowed again unchanged", (context) =>
    forAll(context, 500, fc.webUrl({ withFragments: true, withQueryParameters: true }), (url) => {
      const rules = serviceRules(EgressOptions.make())
      const first = checkUrl(url, rules, undefined)
      if (Result.isFailure(first)) return assert.notStrictEqual(new URL(url).protocol, "https:")
      assert.deepStrictEqual([first.success.protocol, first.success.hash, first.success.username], ["https:", "", ""])
      assert.deepStrictEqual(checkUrl(first.success, rules, undefined), first)
    }))
})
