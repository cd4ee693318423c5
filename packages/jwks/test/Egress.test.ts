import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import type { EgressRequest, RefusalReason, Rules } from "../src/Egress.ts"
import * as EgressOptions from "../src/EgressOptions.ts"
import { makeEgress } from "../src/internal/egress/redirects.ts"
import { serviceRules } from "../src/internal/egress/rules.ts"

const words = (text: string): ReadonlyArray<string> => text.trim().split(/\s+/)

const empty = { headers: new Headers(), body: null, type: "basic" }

/** An egress whose origins answer by URL: a redirect to a text, or a status. Records the requests. */
const scripted = (options: EgressOptions.Options, script: Record<string, string | number> = {}, status = 302) => {
  const requests: Array<string> = []
  const sent: Array<Readonly<Record<string, string>>> = []
  const egress = makeEgress(serviceRules(EgressOptions.make(options)), () =>
    Effect.succeed((url, { headers }) => {
      requests.push(url.href)
      sent.push(headers)
      const answer = script[url.href] ?? 200
      return Promise.resolve(
        typeof answer === "number"
          ? { ...empty, status: answer }
          : { ...empty, status, headers: new Headers({ location: answer }) }
      )
    }))
  const refusal = (request: EgressRequest) =>
    Effect.map(Effect.flip(egress.get(request)), ({ code, details }) => [code, details["reason"], details["hop"]])
  return { ...egress, requests, sent, refusal }
}

const verdict = (url: string | URL, options: EgressOptions.Options = {}, rules?: Rules) =>
  Effect.match(scripted(options).check(url, rules), {
    onFailure: ({ code, details }) => {
      assert.deepStrictEqual([code, details["hop"]], ["EGRESS_REFUSED", 0])
      return details["reason"]
    },
    onSuccess: ({ href }) => href
  })

describe("Egress", () => {
  describe("check", () => {
    const refused: ReadonlyArray<readonly [RefusalReason, ReadonlyArray<string>]> = [
      ["url", [
        "",
        "idp.example",
        "https://",
        "https://a b/",
        "https://1.2.3.4.5/",
        "https://[::1",
        "https://[fe80::1%25eth0]/"
      ]],
      ["scheme", [
        "http://idp.example/",
        "http://localhost/",
        "file:///etc/passwd",
        "data:,x",
        "ftp://idp.example/",
        "ws://a.b/"
      ]],
      ["credentials", ["https://user@idp.example/", "https://user:pass@idp.example/", "https://:pass@idp.example/"]],
      ["host", ["https://./", "https://idp..example/", "https://.idp.example/", "https://idp.example../"]]
    ]
    for (const [reason, urls] of refused) {
      for (const url of urls) {
        it.effect(`[S1-19] refuses "${url}" by its ${reason}`, () =>
          Effect.map(verdict(url), (found) => assert.strictEqual(found, reason)))
      }
    }

    it.effect("[S1-19] returns the URL without its fragment and without the trailing dot of its host", () =>
      Effect.gen(function*() {
        assert.strictEqual(
          yield* verdict("HTTPS://IDP.Example.:443/a/../keys?x=1#frag"),
          "https://idp.example/keys?x=1"
        )
        assert.strictEqual(yield* verdict("https://idp.example:8443/"), "https://idp.example:8443/")
        assert.strictEqual(yield* verdict(new URL("https://bücher.example/#a")), "https://xn--bcher-kva.example/")
        const given = new URL("https://idp.example./#frag")
        yield* verdict(given)
        assert.strictEqual(given.href, "https://idp.example./#frag")
      }))

    const forms = words(`
      127.0.0.1 127.1 0x7f.1 2130706433 017700000001 0177.0.0.1 127.0.0.1. ①②⑦.0.0.1 [::1]
      [::ffff:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:0:0:1] [::127.0.0.1] [64:ff9b::127.0.0.1] 0.0.0.0 0
      [::] 10.1.2.3 100.64.0.1 169.254.169.254 0xa9fea9fe 172.31.255.255 192.168.1.1 192.0.0.170 192.0.2.1
      198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255 [fc00::1] [fd12::1] [fe80::1]
      [fec0::1] [ff02::1] [2001:db8::1] [3fff::1] [2002:a00:1::] [2001:0:a00:1::]
      [2001:0:808:808::f5ff:fffe] [100::1] [64:ff9b:1::a00:1] [64:ff9b:1:7f00:0:1::] localhost LOCALHOST.
      a.localhost
    `)
    for (const host of forms) {
      it.effect(`[R17] [K-07] refuses the host ${host} by its address`, () =>
        Effect.map(verdict(`https://${host}/`), (found) => assert.strictEqual(found, "address")))
    }

    for (const host of ["8.8.8.8", "[2606:4700::1111]", "[::ffff:808:808]", "[64:ff9b::808:808]", "[2002:808:808::]"]) {
      it.effect(`[R17] allows the host ${host}`, () =>
        Effect.map(verdict(`https://${host}/`), (found) => assert.strictEqual(found, `https://${host}/`)))
    }

    it.effect("[S1-19] [K-07] allows localhost and loopback addresses by an option, also over http", () =>
      Effect.gen(function*() {
        const options = { allowLocalhost: true }
        for (const host of ["localhost", "127.0.0.1", "127.255.0.1", "[::1]", "[::ffff:7f00:1]"]) {
          assert.strictEqual(yield* verdict(`http://${host}:81/`, options), `http://${host}:81/`)
          assert.strictEqual(yield* verdict(`https://${host}/`, options), `https://${host}/`)
        }
        for (
          const host of ["[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::80ff:fffe]"]
        ) {
          assert.strictEqual(yield* verdict(`http://${host}/`, options), "scheme", host)
          assert.strictEqual(yield* verdict(`https://${host}/`, options), "address", host)
        }
        assert.strictEqual(yield* verdict("https://a.localhost/", options), "address")
        assert.strictEqual(yield* verdict("http://a.localhost/", options), "scheme")
        assert.strictEqual(yield* verdict("https://0.0.0.0/", options), "address")
        assert.strictEqual(yield* verdict("https://10.0.0.1/", options), "address")
        assert.strictEqual(yield* verdict("http://10.0.0.1/", options), "scheme")
      }))

    it.effect("[K-07] allows private addresses of a listed network, also embedded in IPv6, and no others", () =>
      Effect.gen(function*() {
        const options = { allowedNetworks: ["10.1.0.0/16", "fd00::/8", "64:ff9b:1:2::/64"] }
        for (const host of ["10.1.255.1", "[::ffff:a01:1]", "[64:ff9b::a01:1]", "[fd12::1]", "[64:ff9b:1:2::1]"]) {
          assert.strictEqual(yield* verdict(`https://${host}/`, options), `https://${host}/`)
        }
        for (const host of ["10.2.0.1", "[fc00::1]", "127.0.0.1", "[::ffff:a02:1]", "[2001:0:a01:1::f5ff:fffe]"]) {
          assert.strictEqual(yield* verdict(`https://${host}/`, options), "address", host)
        }
        for (const host of ["0.0.0.0", "[::]", "224.0.0.1", "255.255.255.255", "[ff02::1]"]) {
          assert.strictEqual(yield* verdict(`https://${host}/`, { allowedNetworks: ["0.0.0.0/0", "::/0"] }), "address")
        }
      }))

    const lists: ReadonlyArray<readonly [list: ReadonlyArray<string>, host: string, isAllowed: boolean]> = [
      [[], "any.example", true],
      [["idp.example"], "idp.example", true],
      [["IDP.Example."], "idp.example", true],
      [["idp.example"], "a.b.idp.example", true],
      [["idp.example"], "IDP.EXAMPLE.", true],
      [["idp.example"], "evilidp.example", false],
      [["idp.example"], "example", false],
      [["idp.example"], "idp.example.evil.test", false],
      [["a.idp.example"], "idp.example", false],
      [["other.test", "idp.example"], "idp.example", true],
      [["bücher.example"], "xn--bcher-kva.example", true],
      [["xn--bcher-kva.example"], "bücher.example", true],
      [["8.8.8.8"], "8.8.8.8", true],
      [["2606:4700::1111"], "[2606:4700:0::1111]", true],
      [["8.8.8.8"], "8.8.4.4", false]
    ]
    for (const [list, host, isAllowed] of lists) {
      it.effect(`[S1-20] ${isAllowed ? "allows" : "refuses"} ${host} if [${list.join()}] is allowed, by service or rule`, () =>
        Effect.gen(function*() {
          const url = `https://${host}/`
          const expected = isAllowed ? new URL(url).href.replace("./", "/") : "host"
          assert.strictEqual(yield* verdict(url, { allowedHosts: list }), expected)
          assert.strictEqual(yield* verdict(url, {}, { allowedHosts: list }), expected)
        }))
    }

    it.effect("[S1-19] [S1-20] rules of a request narrow the service's, and never widen them", () =>
      Effect.gen(function*() {
        const options = { allowedHosts: ["idp.example"] }
        assert.strictEqual(yield* verdict("https://other.test/", options, { allowedHosts: ["other.test"] }), "host")
        assert.strictEqual(yield* verdict("https://other.test/", options, { allowedHosts: [] }), "host")
        assert.strictEqual(yield* verdict("https://idp.example/", options, { allowedHosts: ["a.idp.example"] }), "host")
        assert.include(yield* verdict("https://a.idp.example/", options, { allowedHosts: ["a.idp.example"] }), "https")
        assert.strictEqual(
          yield* verdict("https://idp.example/", {}, { allowedHosts: ["*", "https://idp.example"] }),
          "host"
        )
      }))
  })

  describe("redirects", () => {
    const chain = (length: number) =>
      Object.fromEntries(
        Array.from({ length }, (_, index) => [`https://idp.example/${index}`, `https://idp.example/${index + 1}`])
      )
    const first = "https://idp.example/0"

    for (const status of [301, 302, 303, 307, 308]) {
      it.effect(`[S1-21] follows a ${status}, with the same headers on every hop`, () =>
        Effect.gen(function*() {
          const { get, requests, sent } = scripted(
            {},
            { [first]: "/keys?a#b", "https://idp.example/keys?a": 304 },
            status
          )
          const headers = { "if-none-match": "\"a\"" }
          const response = yield* get({ url: first, headers })
          assert.deepStrictEqual([response.status, response.url.href], [304, "https://idp.example/keys?a"])
          assert.deepStrictEqual(requests, [first, "https://idp.example/keys?a"])
          assert.deepStrictEqual(sent, [headers, headers])
        }))
    }

    it.effect("[S1-21] follows three by default, and the smaller number of service and rule", () =>
      Effect.gen(function*() {
        const follow = (length: number, options: EgressOptions.Options, rules?: Rules) => {
          const { get } = scripted(options, chain(length))
          return Effect.map(Effect.exit(get({ url: first, rules })), Exit.isSuccess)
        }
        assert.deepStrictEqual([yield* follow(3, {}), yield* follow(4, {})], [true, false])
        assert.deepStrictEqual([yield* follow(1, { maxRedirects: 0 }), yield* follow(0, { maxRedirects: 0 })], [
          false,
          true
        ])
        const ten = { maxRedirects: 10 }
        assert.deepStrictEqual([yield* follow(10, ten), yield* follow(11, ten)], [true, false])
        assert.deepStrictEqual(
          [yield* follow(2, ten, { maxRedirects: 1 }), yield* follow(4, {}, { maxRedirects: 9 })],
          [false, false]
        )
        assert.isFalse(yield* follow(11, ten, { maxRedirects: NaN }))
      }))

    it.effect("[S1-21] stops with the number of the hop after too many", () =>
      Effect.gen(function*() {
        const { refusal, requests } = scripted({}, chain(5))
        assert.deepStrictEqual(yield* refusal({ url: first }), ["EGRESS_REFUSED", "redirect", 4])
        assert.lengthOf(requests, 4)
      }))

    it.effect("[S1-21] a loop stops before a URL is requested again", () =>
      Effect.gen(function*() {
        const second = "https://idp.example/1"
        const loops = [{ [first]: first }, { [first]: `${first}#x` }, { [first]: second, [second]: first }]
        for (const [index, script] of loops.entries()) {
          const { refusal, requests } = scripted({ maxRedirects: 10 }, script)
          const hops = index < 2 ? 1 : 2
          assert.deepStrictEqual(yield* refusal({ url: first }), ["EGRESS_REFUSED", "redirect", hops])
          assert.lengthOf(requests, hops)
        }
      }))

    const targets: ReadonlyArray<readonly [string, RefusalReason, EgressOptions.Options?]> = [
      ["http://idp.example/", "scheme"],
      ["http://localhost/", "scheme", { allowLocalhost: true, allowedHosts: ["localhost", "idp.example"] }],
      ["https://localhost/", "address", { allowLocalhost: true }],
      ["https://[::ffff:127.0.0.1]/", "address", { allowLocalhost: true }],
      ["//evil.example/", "host", { allowedHosts: ["idp.example"] }],
      ["https://169.254.169.254/latest", "address"],
      ["https://user@idp.example/", "credentials"],
      ["file:///etc/passwd", "scheme"],
      ["https://[/", "redirect"]
    ]
    for (const [target, reason, options] of targets) {
      it.effect(`[S1-21] [K-07] does not follow a redirect to ${target}: ${reason}`, () =>
        Effect.gen(function*() {
          const { refusal, requests } = scripted(options ?? {}, { [first]: target })
          assert.deepStrictEqual(yield* refusal({ url: first }), ["EGRESS_REFUSED", reason, 1])
          assert.lengthOf(requests, 1)
        }))
    }

    it.effect("[S1-21] checks every hop by the rules of the request as well", () =>
      Effect.gen(function*() {
        const { refusal } = scripted({}, { [first]: "https://b.example/" })
        const request = { url: first, rules: { allowedHosts: ["idp.example"] } }
        assert.deepStrictEqual(yield* refusal(request), ["EGRESS_REFUSED", "host", 1])
      }))

    it.effect("[S1-21] follows redirects within localhost over http", () =>
      Effect.gen(function*() {
        const { get, requests } = scripted({ allowLocalhost: true }, { "http://localhost/": "http://127.0.0.1/a" })
        assert.strictEqual((yield* get({ url: "http://localhost/" })).url.href, "http://127.0.0.1/a")
        assert.lengthOf(requests, 2)
      }))

    it.effect("[S1-21] a redirect without a target, and every other status, are returned as responses", () =>
      Effect.gen(function*() {
        for (const status of [200, 300, 301, 304, 305, 404, 500]) {
          const { get } = scripted({}, { [first]: status })
          assert.strictEqual((yield* get({ url: first })).status, status)
        }
      }))
  })

  it.effect("[K-07] sends nothing if a header may contain credentials", () =>
    Effect.gen(function*() {
      for (const name of ["authorization", "Authorization", "cookie", "proxy-authorization", "x-api-key", "dpop"]) {
        const { refusal, requests } = scripted({})
        const request = { url: "https://idp.example/", headers: { accept: "*/*", [name]: "x" } }
        assert.deepStrictEqual(yield* refusal(request), ["EGRESS_REFUSED", "header", 0])
        assert.lengthOf(requests, 0)
      }
    }))

  it.effect("[K-28 E] [R21] an error names the host, but no other part of the URL", () =>
    Effect.gen(function*() {
      const { get } = scripted({ allowedHosts: ["a.test"] })
      const error = yield* Effect.flip(get({ url: "https://user:secret@other.example/token?key=abc#abc" }))
      assert.notMatch(JSON.stringify(error) + error.message + String(error.stack), /secret|token\?|abc/)
      assert.deepStrictEqual(error.details, { reason: "credentials", hop: 0 })
      const other = yield* Effect.flip(get({ url: "https://other.example/token?key=abc#abc" }))
      assert.notMatch(JSON.stringify(other) + other.message + String(other.stack), /secret|token\?|abc/)
      assert.strictEqual(other.message, "The host is not allowed: other.example is not in allowedHosts")
    }))
})
