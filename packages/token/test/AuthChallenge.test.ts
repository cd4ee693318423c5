import { assert, describe, it } from "@effect/vitest"
import { AuthChallenge } from "../src/index.ts"

/** Challenges as plain values. */
const parsed = (header: string): ReadonlyArray<object> | undefined =>
  AuthChallenge.parse(header)?.map(({ parameters, scheme, token68 }) => ({
    scheme,
    ...(token68 === undefined ? undefined : { token68 }),
    ...Object.fromEntries(parameters)
  }))

describe("AuthChallenge", () => {
  it("[K-37] reads the challenges of RFC 9110, 11.6.1 and RFC 6750, 3", () => {
    assert.deepStrictEqual(
      parsed("Basic realm=\"simple\", Newauth realm=\"apps\", type=1, title=\"Login to \\\"apps\\\"\""),
      [{ scheme: "basic", realm: "simple" }, {
        scheme: "newauth",
        realm: "apps",
        type: "1",
        title: "Login to \"apps\""
      }]
    )
    assert.deepStrictEqual(parsed("Bearer realm=\"example\", error=\"invalid_token\""), [
      { scheme: "bearer", realm: "example", error: "invalid_token" }
    ])
  })

  const good: ReadonlyArray<readonly [header: string, challenges: ReadonlyArray<object>]> = [
    ["Bearer", [{ scheme: "bearer" }]],
    ["Bearer ", [{ scheme: "bearer" }]],
    ["bEaReR rEaLm=x", [{ scheme: "bearer", realm: "x" }]],
    ["Bearer scope=\"\"", [{ scheme: "bearer", scope: "" }]],
    ["Bearer scope=\"a,b\", realm=c", [{ scheme: "bearer", scope: "a,b", realm: "c" }]],
    ["Bearer scope=\"Basic realm=x\"", [{ scheme: "bearer", scope: "Basic realm=x" }]],
    ["Bearer a = \"b\" , c\t=\td", [{ scheme: "bearer", a: "b", c: "d" }]],
    [", ,Bearer,, realm=x,, Basic,", [{ scheme: "bearer", realm: "x" }, { scheme: "basic" }]],
    ["Negotiate, Bearer realm=x", [{ scheme: "negotiate" }, { scheme: "bearer", realm: "x" }]],
    ["Negotiate YII==, Bearer realm=x", [{ scheme: "negotiate", token68: "YII==" }, { scheme: "bearer", realm: "x" }]],
    ["Bearer realm=x, Bearer realm=y", [{ scheme: "bearer", realm: "x" }, { scheme: "bearer", realm: "y" }]],
    ["Bearer realm", [{ scheme: "bearer", token68: "realm" }]],
    ["Bearer   realm=x", [{ scheme: "bearer", realm: "x" }]],
    ["Bearer realm=\"\u00fc\u00ff\"", [{ scheme: "bearer", realm: "\u00fc\u00ff" }]],
    ["Bearer __proto__=x", [Object.fromEntries([["scheme", "bearer"], ["__proto__", "x"]])]]
  ]
  for (const [header, challenges] of good) {
    it(`[K-37] reads ${JSON.stringify(header)}`, () => assert.deepStrictEqual(parsed(header), challenges))
  }

  const bad = [
    "",
    " ",
    ",",
    "realm=x",
    "=",
    "\"Bearer\"",
    "Bearer realm=x realm2=y",
    "Bearer realm=x; scope=y",
    "Bearer realm=\"x",
    "Bearer realm=x\"",
    "Bearer realm=\"x\"y",
    "Bearer realm=\"x\\",
    "Bearer realm=\"x\u0000\"",
    "Bearer realm=\"x\r\n\"",
    "Bearer realm=\"\u20ac\"",
    "Bearer realm=x, realm=y",
    "Bearer realm=x, REALM=\"y\"",
    "Bearer scope=a, scope=a",
    "Bearer abc==, realm=x",
    "Bearer realm=\"x\", \"y\"",
    "Bearer realm=(x)",
    "Be\u00e4rer realm=x",
    "Bearer realm=x\tscope=y",
    `Bearer realm="${"x".repeat(8_192)}"`
  ]
  for (const header of bad) {
    it(`[K-37] reads nothing from ${JSON.stringify(header.slice(0, 60))}`, () => assert.isUndefined(parsed(header)))
  }
})
