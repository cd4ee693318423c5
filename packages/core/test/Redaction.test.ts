import { assert, describe, it } from "@effect/vitest"
import { forAll } from "@keelson/testing/properties"
import { Cause, Effect, Logger, Option, Redacted } from "effect"
import { HttpClientError, HttpClientRequest } from "effect/http"
import fc from "fast-check"
import { inspect } from "node:util"
import { Redaction } from "../src/index.ts"
import { harmless, secrets, survives } from "./secrets.ts"

const carried = secrets.flatMap(({ carriers, name }) => carriers.map((carrier) => ({ name, carrier })))

/** Enough where each carrier takes long: at least one for each secret, and every kind of carrier. */
const sampled = secrets.flatMap(({ carriers }, i) =>
  carriers.filter((_, j) => (i + j) % Math.min(6, carriers.length) === 0)
)

/** The secrets that an output shows, with what carried them; empty if there are none. */
const leaks = (output: string, input: string): string => {
  const found = survives(output)
  return found.length === 0 ? "" : `${found.join(", ")} survived: ${input} => ${output}`
}

/** All there is to see of an error: what loggers print, own members, causes. */
const shown = (error: unknown): string => `${inspect(error, { depth: 12, showHidden: true })} ${String(error)}`

/** What is thrown with a text inside. */
const failures = (text: string): ReadonlyArray<unknown> => {
  const request = HttpClientRequest.post(`https://a.example/path?q=${encodeURIComponent(text)}`)
  const transport = new HttpClientError.TransportError({ request, description: text, cause: new Error(text) })
  return [
    text,
    new Error(text),
    Object.assign(new Error("outer", { cause: new Error("inner", { cause: text }) }), { body: text }),
    new AggregateError([new Error(text), text], text),
    new TypeError(`no\n${text}\n    at ${text}\nyes`),
    { message: text, name: text, stack: `Error: ${text}\n    at ${text} (a.ts:1:2)` },
    { reason: "plain object", detail: text },
    new HttpClientError.HttpClientError({ reason: transport })
  ]
}

/** What details may hold with a text inside. */
const details = (text: string): unknown => ({
  text,
  [text]: 1,
  nested: { list: [1, { text }], set: new Set([text]), map: new Map([["note", text]]), keys: new Map([[text, 1]]) },
  error: new Error(text),
  option: Option.some(text),
  boxed: Object(text),
  bytes: new TextEncoder().encode(text),
  cause: Cause.die(new Error(text)),
  get computed() {
    return text
  },
  toString: () => text
})

describe("Redaction", () => {
  describe("text", () => {
    it("[S0-25] JWTs, Bearer and DPoP values become [REDACTED], the scheme stays", () => {
      const jwt = secrets.find(({ name }) => name === "JWS")!.secret
      assert.strictEqual(Redaction.text(`no ${jwt}!`), "no [REDACTED]!")
      assert.strictEqual(Redaction.text("Authorization: Bearer abc"), "Authorization: Bearer [REDACTED]")
      assert.strictEqual(Redaction.text("got bearer a1, DPoP b2"), "got bearer [REDACTED], DPoP [REDACTED]")
      assert.strictEqual(Redaction.text(`DPoP: ${jwt}`), "DPoP: [REDACTED]")
    })

    it("[S4-42] JWTs, Bearer values, tokens in a query and credentials in headers are replaced", () => {
      assert.strictEqual(
        Redaction.text("GET https://u:p@a.example/cb?access_token=abc&code=zzz&page=2"),
        "GET https://[REDACTED]@a.example/cb?access_token=[REDACTED]&code=[REDACTED]&page=2"
      )
      assert.strictEqual(Redaction.text("Cookie: a=b; c=d\nHost: x"), "Cookie: [REDACTED]\nHost: x")
      assert.strictEqual(Redaction.text("x-api-key: a b\nHost: x"), "x-api-key: [REDACTED]\nHost: x")
    })

    it("[R21] none of over 130 secrets survives in any of its carriers", () => {
      assert.isAtLeast(secrets.length, 130)
      assert.strictEqual(new Set(secrets.map(({ name }) => name)).size, secrets.length)
      for (const { carrier, name } of carried) {
        assert.include(survives(carrier), name, `the carrier shows it: ${carrier}`)
        assert.strictEqual(leaks(Redaction.text(carrier), carrier), "")
      }
    })

    it("[R21] harmless texts pass unchanged", () => {
      assert.isAtLeast(harmless.length, 30)
      for (const text of harmless) assert.strictEqual(Redaction.text(text), text)
    })

    it.for([
      ["{\"client_secret\":\"a\\\"b\",\"page\":2}", "{\"client_secret\":\"[REDACTED]\",\"page\":2}"],
      ["{\\\"password\\\":\\\"a\\\\\\\"b\\\",\\\"x\\\":1}", "{\\\"password\\\":\\\"[REDACTED]\\\",\\\"x\\\":1}"],
      ["{\"password\": 12345, \"page\": 2}", "{\"password\": [REDACTED], \"page\": 2}"],
      ["client_secret%3Da%26page%3D2", "client_secret%3D[REDACTED]%26page%3D2"],
      ["client%5Fsecret=a&page=2", "client%5Fsecret=[REDACTED]&page=2"],
      ["{\"client\\u005fsecret\":\"a\"}", "{\"client\\u005fsecret\":\"[REDACTED]\"}"],
      ["env[\"PASSWORD\"] = 'a b'", "env[\"PASSWORD\"] = '[REDACTED]'"],
      ["token[]=a1&token[0]=b2", "token[]=[REDACTED]&token[0]=[REDACTED]"],
      ["password: 'it''s me'", "password: '[REDACTED]'"],
      ["(password=abc), next", "(password=[REDACTED]), next"],
      ["password=\"not closed\nat all", "password=\"[REDACTED]"],
      ["password=[REDACTED]tail", "password=[REDACTED]"],
      ["authorization=Bearer abc method=GET", "authorization=Bearer [REDACTED] method=GET"],
      ["redis://:p/w#@h:1/0", "redis://[REDACTED]@h:1/0"],
      ["PWD=/home/me", "PWD=/home/me"],
      ["password:\n  \"a b\"", "password:\n  \"[REDACTED]\""],
      ["password: |\n  a\n  b\nport: 1", "password: [REDACTED]\nport: 1"],
      ["passwords: { a: { b: \"}\" } }, page: 2", "passwords: [REDACTED], page: 2"],
      ["passwords: [ 'a]', 'it\\'s' ], page: 2", "passwords: [REDACTED], page: 2"],
      ["Bearer Basic YTpiYzEyMw==", "Bearer Basic [REDACTED]"],
      ["token: s3cr3t\nport: 1", "token: [REDACTED]\nport: 1"],
      ["token=Bearer", "token=[REDACTED]"],
      ["password is hunter2.", "password is [REDACTED]"],
      ["--password \"a b\" --page 2", "--password [REDACTED] --page 2"],
      ["<Password>a b</Password>", "<Password>[REDACTED]</Password>"],
      ["const password = String(\"a b\")", "const password = String(\"[REDACTED]\")"],
      ["password: b'abc', page: 2", "password: b'[REDACTED]', page: 2"],
      ["&quot;secret&quot;:&quot;a b&quot;,", "&quot;secret&quot;:&quot;[REDACTED]&quot;,"],
      ["q=\ud800%20password%3Dabc", "q=[REDACTED]"],
      ["GET /a%20b/?password=abc%20def&page=%20", "GET /a%20b/?password=[REDACTED]&page=%20"],
      ["api key sk 12", "api key sk 12"]
    ])("keeps the name and what is around: %j", ([input = "", expected = ""]) => {
      assert.strictEqual(Redaction.text(input), expected)
    })

    it("`state`, `nonce`, `code` and `key` count in a query or form; elsewhere only if the value is opaque", () => {
      assert.strictEqual(Redaction.text("/cb?state=open&nonce=a"), "/cb?state=[REDACTED]&nonce=[REDACTED]")
      assert.strictEqual(Redaction.text("code=abc&scope=read"), "code=[REDACTED]&scope=read")
      assert.strictEqual(Redaction.text("state=open nonce=a"), "state=open nonce=a")
      assert.strictEqual(Redaction.text("{\"state\":\"a8b7c6d5e4\"}"), "{\"state\":\"[REDACTED]\"}")
      assert.strictEqual(Redaction.text("jti=a8b7c6d5e4"), "jti=a8b7c6d5e4")
    })

    it("a text of 65,536 is whole; a longer one is cut at white space and marked", () => {
      const words = "word ".repeat(20_000)
      assert.strictEqual(Redaction.text(words.slice(0, 65_536)).length, 65_536)
      const cut = Redaction.text(words.slice(0, 65_537))
      assert.isAtMost(cut.length, 65_536)
      assert.match(cut, /word \[TRUNCATED\]$/)
      assert.strictEqual(Redaction.text(cut), cut)
      assert.strictEqual(Redaction.text("x".repeat(65_537)), "[TRUNCATED]")
    })

    it("[R21] a secret that straddles the cut doesn't survive in part", () => {
      for (const { carriers } of secrets) {
        const carrier = carriers.at(-1)!
        for (const shift of [0, 14, 28, 60]) {
          const text = `${" ".repeat(65_520 - shift)} ${carrier} ${"word ".repeat(100)}`
          assert.strictEqual(leaks(Redaction.text(text), text.slice(65_000)), "")
        }
      }
    })

    it("a result that would be longer than 65,536 is cut too", () => {
      const long = Redaction.text("sid=a1 ".repeat(9_000))
      assert.isAtMost(long.length, 65_536)
      assert.match(long, /sid=\[REDACTED\] \[TRUNCATED\]$/)
    })

    it("[R21] hostile texts of 1 MB and of 64 KiB come to an end", () => {
      const pieces =
        `=|key=|d:"|//a:b/|eyJ|SG.aaaaaaaaaaaaaaaaa.|-----BEGIN PRIVATE KEY|%3D|oth:[|key:'''|<a>|name="a"\n|` +
        "token is |A1b2/|bearer bearer |password: |t.atlasv1.|\\\\|https://|token |Digest a=|--a \"|%2F%2Fa%3Ab"
      for (const piece of pieces.split("|")) {
        const output = Redaction.text(piece.repeat(65_000 / piece.length))
        assert.strictEqual(Redaction.text(output), output, piece)
        for (const end of ["\"", "@x"]) assert.isString(Redaction.text(piece.repeat(65_000 / piece.length) + end))
        assert.match(Redaction.text(`a ${piece.repeat(1_048_576 / piece.length)}`), /\[TRUNCATED\]$/)
      }
    })

    it("[R21] a secret in a carrier at a random place of random text never survives", (context) => {
      const text = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.constantFrom(...harmless))
      const gap = fc.constantFrom(" ", "\n", ", ", "; ")
      forAll(
        context,
        2_000,
        fc.tuple(text, gap, fc.constantFrom(...carried), gap, text),
        ([a, b, { carrier }, c, d]) => {
          assert.strictEqual(
            leaks(Redaction.text(`${a}${b}${carrier}${c}${d}`), JSON.stringify([a, b, carrier, c, d])),
            ""
          )
        }
      )
    })

    it("[R21] applying it twice changes nothing", (context) => {
      const piece = fc.oneof(
        fc.string({ maxLength: 8 }),
        fc.constantFrom(...carried.map(({ carrier }) => carrier), ...harmless),
        fc.constantFrom(
          "password",
          "code",
          "Bearer ",
          "=",
          ":",
          "\"",
          "'",
          "\\\"",
          "%22",
          "//",
          "@",
          "[",
          "]",
          "{",
          "\n",
          "&",
          "eyJ"
        )
      )
      forAll(context, 3_000, fc.array(piece, { maxLength: 12 }), (pieces) => {
        const once = Redaction.text(pieces.join(""))
        assert.strictEqual(Redaction.text(once), once, JSON.stringify(pieces))
      })
    })
  })

  describe("url", () => {
    it.for([
      [
        "https://u:p@a.example:8443/x/y?q=1&empty=&flag&z#frag",
        "https://a.example:8443/x/y?q=[REDACTED]&empty=&[REDACTED]&[REDACTED]"
      ],
      ["https://a.example", "https://a.example/"],
      ["https://a.example/reset/5f4dcc3b5aa765d61d8327deb882cf99/x", "https://a.example/reset/[REDACTED]/x"],
      [
        "https://a.example/123e4567-e89b-12d3-a456-426614174000",
        "https://a.example/123e4567-e89b-12d3-a456-426614174000"
      ],
      ["https://a.example/a-long-article-about-nothing-2026", "https://a.example/a-long-article-about-nothing-2026"],
      ["redis://:pw@cache:6379/0", "redis://cache:6379/0"],
      ["/cb?name=any#frag", "/cb?name=[REDACTED]"],
      ["data:text/plain,anything", "data:[REDACTED]"],
      ["mailto:a@example.com?body=b", "mailto:a@example.com?body=[REDACTED]"],
      ["no url, password=abc", "no url, password=[REDACTED]"],
      ["file:///srv/app/index.js", "file:///srv/app/index.js"]
    ])("%s becomes %s", ([input = "", expected = ""]) => {
      assert.strictEqual(Redaction.url(input), expected)
      assert.strictEqual(Redaction.url(expected), expected)
    })

    it("takes a URL, and shows at most 64 parameters and 64 segments", () => {
      assert.strictEqual(Redaction.url(new URL("https://u@a.example/?a=1")), "https://a.example/?a=[REDACTED]")
      const many = Redaction.url(`https://a.example/${"s/".repeat(100)}?${"p=1&".repeat(100)}`)
      assert.strictEqual(many.split("p=[REDACTED]").length, 65)
      assert.match(many, /(?:\/s){63}\/\[TRUNCATED\]\?.*&\[TRUNCATED\]$/)
    })

    it("[R21] no value of a query survives, whatever its name", () => {
      for (const { secret } of secrets) {
        for (const place of [`?any=${encodeURIComponent(secret)}&b=c`, `#${encodeURIComponent(secret)}`]) {
          assert.strictEqual(leaks(Redaction.url(`https://a.example/x${place}`), secret), "")
          assert.strictEqual(leaks(Redaction.url(`/x${place}`), secret), "")
        }
      }
    })
  })

  describe("headers", () => {
    it("keeps allowlisted values and replaces the others, whatever the case of the name", () => {
      const kept = { "Content-Type": "text/plain", "retry-after": "7", DATE: "now", etag: "\"1\"", "content-length": 3 }
      assert.deepStrictEqual(Redaction.headers(kept), { ...kept, "content-length": "3" })
      const names = ["Authorization", "cookie", "SET-COOKIE", "x-api-key", "location", "x-anything", "__proto__"]
      assert.deepStrictEqual(
        Object.entries(Redaction.headers(Object.fromEntries(names.map((name) => [name, "any"])))),
        names.map((name) => [name, "[REDACTED]"])
      )
    })

    it("[R21] a secret doesn't survive in an allowlisted value, nor as a name", () => {
      for (const { carrier } of carried) {
        assert.strictEqual(
          leaks(JSON.stringify(Redaction.headers({ server: carrier, vary: [carrier], [carrier]: "1" })), carrier),
          ""
        )
      }
    })
  })

  describe("value", () => {
    it("copies plain data, and hides members with a secret's name", () => {
      const plain = { a: 1, b: [true, null, "x"], c: { code: 42, key: "baseDelay", state: "open", tokens: 5 } }
      assert.deepStrictEqual(Redaction.value(plain), plain)
      assert.deepStrictEqual(
        Redaction.value({
          clientSecret: 1,
          Authorization: ["x"],
          password: null,
          token: "",
          code: "a8b7c6d5",
          k: "short"
        }),
        {
          clientSecret: "[REDACTED]",
          Authorization: "[REDACTED]",
          password: null,
          token: "",
          code: "[REDACTED]",
          k: "short"
        }
      )
      assert.deepStrictEqual(Redaction.value({ kty: "oct", k: "short" }), { kty: "oct", k: "[REDACTED]" })
    })

    it("hides the second of a pair and the `value` beside a `name`", () => {
      assert.deepStrictEqual(Redaction.value([["client_secret", "x"], ["page", "2"]]), [
        ["client_secret", "[REDACTED]"],
        ["page", "2"]
      ])
      assert.deepStrictEqual(Redaction.value({ name: "cookie", value: "x" }), { name: "cookie", value: "[REDACTED]" })
      assert.deepStrictEqual(Redaction.value(new Map([["password", "x"]])), [["password", "[REDACTED]"]])
    })

    it("gives every kind of value a form", () => {
      const date = new Date(0)
      const form = Redaction.value({
        redacted: Redacted.make("x"),
        secret: Redacted.make("x"),
        error: new TypeError("no"),
        url: new URL("https://u:p@a.example/?a=1"),
        params: new URLSearchParams("a=1"),
        headers: new Headers({ cookie: "x", age: "1" }),
        set: new Set([1]),
        bytes: new Uint8Array(3),
        buffer: new ArrayBuffer(4),
        bigint: 12n,
        date,
        never: new Date(Number.NaN),
        infinite: Number.POSITIVE_INFINITY,
        run: () => 1,
        symbol: Symbol("s"),
        regexp: /a/,
        option: Option.some(1),
        boxed: Object("text"),
        missing: undefined
      })
      assert.deepStrictEqual(form, {
        redacted: "<redacted>",
        secret: "<redacted>",
        error: { name: "TypeError", message: "no" },
        url: "https://a.example/?a=[REDACTED]",
        params: "?a=[REDACTED]",
        headers: { age: "1", cookie: "[REDACTED]" },
        set: [1],
        bytes: "<3 bytes>",
        buffer: "<4 bytes>",
        bigint: "12",
        date: date.toISOString(),
        never: "Invalid Date",
        infinite: "Infinity",
        run: "[FUNCTION]",
        symbol: "Symbol(s)",
        regexp: "/a/",
        option: { _id: "Option", _tag: "Some", value: 1 },
        boxed: "text"
      })
    })

    it("survives cycles, getters and Proxies that throw, null prototypes and `__proto__`", () => {
      const cyclic: Record<string, unknown> = { toJSON: () => cyclic }
      cyclic["self"] = cyclic
      const { proxy, revoke } = Proxy.revocable({}, {})
      revoke()
      const hostile = {
        cyclic,
        proxy,
        get broken() {
          throw new Error("no")
        },
        bare: Object.assign(Object.create(null), { a: 1 }),
        proto: JSON.parse("{\"__proto__\":{\"password\":\"x\"}}")
      }
      assert.strictEqual(
        JSON.stringify(Redaction.value(hostile)),
        "{\"cyclic\":{\"toJSON\":\"[FUNCTION]\",\"self\":\"[CIRCULAR]\"}," +
          "\"proxy\":\"[UNREADABLE]\",\"broken\":\"[UNREADABLE]\",\"bare\":{\"a\":1}," +
          "\"proto\":{\"__proto__\":{\"password\":\"[REDACTED]\"}}}"
      )
    })

    it("copies what is shared, and not within itself, each time", () => {
      const shared = { a: 1 }
      assert.deepStrictEqual(Redaction.value([shared, { shared }]), [{ a: 1 }, { shared: { a: 1 } }])
    })

    it("stops at 8 levels, 256 members, 8,192 units a string and 65,536 in all", () => {
      const deep = Array.from({ length: 9 }).reduce<unknown>((inner) => ({ a: inner }), "end")
      assert.strictEqual(JSON.stringify(Redaction.value(deep)), `${"{\"a\":".repeat(9)}"end"${"}".repeat(9)}`)
      assert.match(JSON.stringify(Redaction.value({ deep })), /"\[TRUNCATED\]"/)
      const list = Redaction.value(Array.from({ length: 300 }, () => 1))
      assert.isTrue(Array.isArray(list) && list.length === 257 && list.at(-1) === "[TRUNCATED]")
      const wide = Redaction.value(Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`m${i}`, i])))
      assert.strictEqual(Object.keys(wide ?? {}).length, 257)
      assert.strictEqual(Redaction.value("a ".repeat(4_096)), "a ".repeat(4_096))
      assert.match(JSON.stringify(Redaction.value("a ".repeat(4_097))), /a \[TRUNCATED\]"$/)
      const huge = Array.from({ length: 200 }, () => ({ text: "a ".repeat(4_000) }))
      assert.isBelow(JSON.stringify(Redaction.value(huge)).length, 80_000)
    })

    it("[R21] no secret survives in details, and what comes out is JSON", () => {
      for (const carrier of sampled) {
        const value = Redaction.value(details(carrier))
        assert.strictEqual(leaks(JSON.stringify(value), carrier), "")
        assert.deepStrictEqual(JSON.parse(JSON.stringify(value)), value)
      }
    })

    it("never throws, and its result stays as it is", (context) => {
      const anything = fc.anything({
        withBigInt: true,
        withDate: true,
        withMap: true,
        withSet: true,
        withTypedArray: true,
        withNullPrototype: true,
        withBoxedValues: true,
        withObjectString: true,
        withSparseArray: true
      })
      forAll(context, 2_000, anything, (input) => {
        const once = Redaction.value(input)
        assert.deepEqual(Redaction.value(once), once)
        assert.instanceOf(Redaction.error(input), Error)
        assert.isString(Redaction.cause(Cause.combine(Cause.fail(input), Cause.die(input))))
      })
    })
  })

  describe("error", () => {
    it("keeps name, message, frames and causes, and nothing else of the original", () => {
      const inner = new TypeError("inner password=abc")
      const original = Object.assign(new RangeError("outer", { cause: inner }), { request: { url: "x" } })
      const view = Redaction.error(original)
      assert.deepStrictEqual([view.name, view.message, Object.keys(view)], ["RangeError", "outer", []])
      assert.match(view.stack!, /^RangeError: outer\n\s+at .*Redaction\.test\.ts/)
      assert.instanceOf(view.cause, Error)
      assert.notStrictEqual(view.cause, inner)
      assert.strictEqual(String(view.cause), "TypeError: inner password=[REDACTED]")
    })

    it("shows what is no error by its message, its text or its JSON", () => {
      assert.strictEqual(Redaction.error("token=abc1").message, "token=[REDACTED]")
      assert.strictEqual(Redaction.error({ message: "m", name: "N" }).toString(), "N: m")
      assert.strictEqual(Redaction.error({ a: 1, password: "x" }).message, "{\"a\":1,\"password\":\"[REDACTED]\"}")
      assert.strictEqual(Redaction.error(undefined).message, "null")
    })

    it("shows 8 causes of a chain, ends at a cycle, and the errors of an AggregateError", () => {
      const chain = Array.from({ length: 20 }).reduce<Error>(
        (cause, _, i) => new Error(`e${i}`, { cause }),
        new Error("e")
      )
      let depth = 0
      for (let at: unknown = Redaction.error(chain).cause; at instanceof Error; at = at.cause) depth++
      assert.strictEqual(depth, 8)
      const cyclic = new Error("cycle")
      cyclic.cause = cyclic
      assert.isUndefined(Redaction.error(cyclic).cause)
      const errors: unknown = Reflect.get(Redaction.error(new AggregateError([new Error("a"), "b"], "c")), "errors")
      assert.deepStrictEqual(Array.isArray(errors) && errors.map(String), ["Error: a", "Error: b"])
      const many: unknown = Reflect.get(
        Redaction.error(new AggregateError(Array.from({ length: 99 }, String))),
        "errors"
      )
      assert.strictEqual(Array.isArray(many) && many.length, 63)
    })

    it("survives members that throw", () => {
      const broken = Object.defineProperty(new Error("no"), "message", {
        get: () => {
          throw new Error("getter")
        }
      })
      const { proxy, revoke } = Proxy.revocable(new Error("no"), {})
      revoke()
      assert.strictEqual(Redaction.error(broken).message, "")
      assert.instanceOf(Redaction.error(proxy), Error)
    })

    it("[R21] no secret survives in any member of an error, its causes or errors", () => {
      for (const carrier of sampled) {
        for (const failure of failures(carrier)) assert.strictEqual(leaks(shown(Redaction.error(failure)), carrier), "")
      }
    })
  })

  describe("cause", () => {
    it("[R21] no secret survives in failures, defects, or their causes", () => {
      for (const carrier of sampled) {
        const reasons = failures(carrier).map((failure, i) => i % 2 === 0 ? Cause.fail(failure) : Cause.die(failure))
        assert.strictEqual(
          leaks(Redaction.cause(reasons.reduce<Cause.Cause<unknown>>(Cause.combine, Cause.empty)), carrier),
          ""
        )
      }
    })

    it.effect("tells every reason, and the spans they passed", () =>
      Effect.gen(function*() {
        const failing = Effect.fn("load password=abc")(function*() {
          // @effect-diagnostics-next-line globalErrorInEffectFailure:off
          return yield* Effect.fail(new Error("first"))
        })
        const cause = yield* Effect.flip(Effect.sandbox(failing()))
        const text = Redaction.cause(Cause.combine(cause, Cause.die("second")))
        assert.match(text, /Error: first[^]*at load password=\[REDACTED\][^]*Error: second/)
        assert.match(Redaction.cause(Cause.interrupt(7)), /InterruptError[^]*#7/)
        assert.strictEqual(Redaction.cause(Cause.empty), "")
      }))
  })

  describe("logger", () => {
    const record = Effect.fnUntraced(function*(inner: Logger.Logger<unknown, unknown>, effect: Effect.Effect<void>) {
      const lines: Array<string> = []
      const sink = Redaction.logger(Logger.map(inner, (output) => lines.push(inspect(output, { depth: 9 }))))
      yield* Effect.provide(effect, Logger.layer([sink]))
      return lines.join("\n")
    })

    it.effect("[R21] message, annotations, labels of spans and cause reach it without secrets", () =>
      Effect.gen(function*() {
        const log = (carrier: string) =>
          Effect.logError("failed", carrier, details(carrier), new Error(carrier), Cause.die(new Error(carrier))).pipe(
            Effect.annotateLogs({ note: carrier, more: details(carrier), password: "x" }),
            Effect.withLogSpan(carrier)
          )
        const inner = [Logger.formatJson, Logger.formatLogFmt, Logger.formatStructured, Logger.formatSimple]
        for (const [i, carrier] of sampled.entries()) {
          const output = yield* record(inner[i % 4]!, log(carrier))
          assert.include(output, "failed")
          assert.strictEqual(leaks(output, carrier), "")
        }
      }))

    it.effect("[R21] the names of spans in a logged cause are without secrets", () =>
      Effect.gen(function*() {
        const failing = Effect.fn("load password=abc")(function*() {
          return yield* Effect.fail("no")
        })
        const output = yield* record(Logger.formatSimple, Effect.catchCause(failing(), Effect.logError))
        assert.include(output, "at load password=[REDACTED]")
      }))

    it.effect("leaves the rest of a record as it is", () =>
      Effect.gen(function*() {
        const logged = Effect.logInfo("ready", { page: 2 }).pipe(
          Effect.annotateLogs("part", "a"),
          Effect.withLogSpan("boot")
        )
        const output = yield* record(Logger.formatStructured, logged)
        assert.match(output, /message: \[ 'ready', \{ page: 2 \} \]/)
        assert.match(output, /level: 'INFO'[^]*part: 'a'[^]*boot: 0[^]*fiberId: '#\d+'/)
      }))
  })
})
