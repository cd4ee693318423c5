import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Redacted, Schema } from "effect"
import * as Configuration from "../src/Configuration.ts"
import * as EnvSubstitution from "../src/EnvSubstitution.ts"
import * as Problem from "../src/Problem.ts"

const provide = (variables: Record<string, string>) =>
  Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(variables))

const variables = { HOST: "db.internal", PORT: "5432", A: "a", _B1: "b", DEEP_NAME_OF__PARTS: "deep", EMPTY: "" }

const substitute = (text: string) => EnvSubstitution.substitute(text).pipe(provide(variables))

describe("EnvSubstitution", () => {
  describe("substitute", () => {
    const replaced = [
      ["", ""],
      ["no variables, $HOST and $ and {HOST} stay", "no variables, $HOST and $ and {HOST} stay"],
      ["${HOST}", "db.internal"],
      ["https://${HOST}:${PORT}/x", "https://db.internal:5432/x"],
      ["${A}${A}${_B1}", "aab"],
      ["${DEEP_NAME_OF__PARTS}", "deep"],
      ["$${HOST}", "${HOST}"],
      ["$$${HOST}", "$${HOST}"],
      ["$${HOST} is ${HOST}", "${HOST} is db.internal"],
      ["$${", "${"],
      ["a$$b", "a$$b"],
      ["${A}}", "a}"],
      ["line\n${A}\nline", "line\na\nline"]
    ] as const
    for (const [text, result] of replaced) {
      it.effect(`[S4-05] ${JSON.stringify(text)} becomes ${JSON.stringify(result)}`, () =>
        Effect.gen(function*() {
          assert.strictEqual(yield* substitute(text), result)
        }))
    }

    const defaults = [
      ["${UNSET:-x}", "x"],
      ["${UNSET-x}", "x"],
      ["${HOST:-x}", "db.internal"],
      ["${EMPTY:-x}", "x"],
      ["${UNSET:-}", ""],
      ["${UNSET:-a:-b-c}", "a:-b-c"],
      ["${UNSET:-${HOST}:${PORT}}/x", "db.internal:5432/x"],
      ["${UNSET:-${ALSO:-${A}}}}", "a}"],
      ["${A:-${ALSO}}", "a"],
      ["${UNSET:-$${x}", "${x"],
      ["${UNSET:-line\nline}", "line\nline"]
    ] as const
    for (const [text, result] of defaults) {
      it.effect(`[K-28 D12] ${JSON.stringify(text)} becomes ${JSON.stringify(result)}, as in a shell`, () =>
        Effect.gen(function*() {
          assert.strictEqual(yield* substitute(text), result)
        }))
    }

    it.effect("[K-28 D12] a variable of a default that is used must be set", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(substitute("${UNSET:-${ALSO}}"))
        assert.deepEqual(error.details, { var_name: "ALSO" })
      }))

    const unset = [
      ["${UNSET}", "UNSET"],
      ["${A}${B}", "B"],
      ["${EMPTY}", "EMPTY"],
      ["${host}", "host"],
      ["x ${CLIENT_SECRET}", "CLIENT_SECRET"],
      ["${API_TOKEN}", "API_TOKEN"],
      ["${DB_PASSWORD}", "DB_PASSWORD"]
    ] as const
    for (const [text, name] of unset) {
      it.effect(`[S3-32] [S4-05] ${text} is CONFIG_VARIABLE_MISSING (CFG-003) with var_name ${name}`, () =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(substitute(text))
          assert.strictEqual(error.code, "CONFIG_VARIABLE_MISSING")
          assert.strictEqual(Problem.encode(error).error_code, "CFG-003")
          assert.deepEqual(error.details, { var_name: name })
          assert.strictEqual(error.message, `The environment variable ${name} is not set`)
        }))
    }

    const malformed = [
      ["${", 0],
      ["${}", 0],
      ["x${HOST", 1],
      ["${A} ${HOST:x}", 5],
      ["${UNSET:-${HOST x}}", 9],
      ["${UNSET:-x", 0],
      ["${ HOST }", 0],
      ["${1A}", 0],
      ["${A.B}", 0],
      ["${A+B}", 0],
      ["${${A}}", 0]
    ] as const
    for (const [text, offset] of malformed) {
      it.effect(`[S4-05] ${JSON.stringify(text)} is INVALID_CONFIG at ${offset}, without the text`, () =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(substitute(text))
          assert.strictEqual(error.code, "INVALID_CONFIG")
          assert.strictEqual(error.details["offset"], offset)
          assert.notInclude(error.message, "HOST")
        }))
    }

    it.effect("[S4-05] a value is put in as it is, and not looked through again", () =>
      Effect.gen(function*() {
        const tricky = { X: "${HOST}", Y: "$${X}", Z: "$&$1$$" }
        const result = EnvSubstitution.substitute("${X}|${Y}|${Z}").pipe(provide({ ...variables, ...tricky }))
        assert.strictEqual(yield* result, "${HOST}|$${X}|$&$1$$")
      }))

    it.effect("[R21] no value appears in the error for another variable", () =>
      Effect.gen(function*() {
        const error = yield* EnvSubstitution.substitute("${SECRET}${UNSET}").pipe(
          provide({ SECRET: "hunter2" }),
          Effect.flip
        )
        assert.notInclude(`${error.message} ${JSON.stringify(error)} ${String(error.stack)}`, "hunter2")
      }))
  })

  describe("substituteAll", () => {
    it.effect("[S4-05] replaces in every string of arrays and objects, and leaves the rest alone", () =>
      Effect.gen(function*() {
        const tree = { a: "${A}", list: ["${PORT}", 5, null, [true, "x${A}"]], deep: { er: "$${A}" }, "${A}": 1.5 }
        const result = yield* EnvSubstitution.substituteAll(tree).pipe(provide(variables))
        assert.deepEqual(result, { a: "a", list: ["5432", 5, null, [true, "xa"]], deep: { er: "${A}" }, "${A}": 1.5 })
      }))

    it.effect("keeps a member named __proto__ a member", () =>
      Effect.gen(function*() {
        const tree: unknown = JSON.parse("{\"__proto__\":{\"polluted\":\"${A}\"}}")
        const result = yield* EnvSubstitution.substituteAll(tree).pipe(provide(variables))
        assert.strictEqual(JSON.stringify(result), "{\"__proto__\":{\"polluted\":\"a\"}}")
        assert.notProperty({}, "polluted")
      }))
  })

  describe("in a document", () => {
    const Store = Schema.Struct({
      dir: Schema.String,
      url: Schema.String,
      password: Schema.RedactedFromValue(Schema.String, { label: "password" }),
      port: Schema.Int
    })
    const documents = {
      json: "{\"dir\":\"${DIR}/cache\",\"url\":\"https://${HOST}/\",\"password\":\"${PASSWORD}\",\"port\":\"${PORT}\"}",
      yaml: "dir: ${DIR}/cache\nurl: \"https://${HOST}/\"\npassword: ${PASSWORD}\nport: ${PORT}\n"
    }
    const secrets = [
      "plain",
      "\", \"port\": 1, \"x\": \"",
      "x\nport: 1\n",
      "# no comment",
      "${HOST}",
      "$${HOST}",
      "{a: 1}",
      "- 1",
      "12345",
      "true",
      "null",
      "\\u0022\\"
    ]
    for (const format of ["json", "yaml"] as const) {
      for (const password of secrets) {
        it.effect(`[S4-05] ${JSON.stringify(password)} is a value in ${format}, and changes nothing around it`, () =>
          Effect.gen(function*() {
            const decoded = yield* Configuration.decodeText(Store, { format, text: documents[format] }).pipe(
              provide({ ...variables, DIR: "/var", PASSWORD: password })
            )
            const { dir, port, url } = decoded
            assert.deepEqual({ dir, port, url }, { dir: "/var/cache", port: 5432, url: "https://db.internal/" })
            assert.strictEqual(Redacted.value(decoded.password), password)
          }))
      }

      it.effect(`[S4-05] literals work in ${format} without any variable`, () =>
        Effect.gen(function*() {
          const plain = { dir: "/a", url: "$${x}", password: "p", port: 1 }
          const text = format === "json" ? JSON.stringify(plain) : "dir: /a\nurl: $${x}\npassword: p\nport: 1\n"
          const decoded = yield* Configuration.decodeText(Store, { format, text }).pipe(provide({}))
          assert.deepStrictEqual([decoded.dir, decoded.url, decoded.port], ["/a", "${x}", 1])
        }))

      it.effect(`[S3-32] [S4-05] an unset variable in ${format} names itself`, () =>
        Effect.gen(function*() {
          const { HOST: _, ...without } = { ...variables, DIR: "/var", PASSWORD: "hunter2" }
          const read = Configuration.decodeText(Store, { format, text: documents[format] })
          const error = yield* Effect.flip(read.pipe(provide(without)))
          assert.deepStrictEqual([error.code, error.details["var_name"]], ["CONFIG_VARIABLE_MISSING", "HOST"])
          assert.notInclude(JSON.stringify(error), "hunter2")
        }))
    }
  })

  it.effect("a source that fails is told apart from a variable that is not set, and shows nothing of itself", () =>
    Effect.gen(function*() {
      const down = ConfigProvider.make(() =>
        Effect.fail(new ConfigProvider.SourceError({ message: "vault refused Bearer abcdefghijklmnopqrstuvwx" }))
      )
      const error = yield* Effect.flip(
        Effect.provideService(EnvSubstitution.substitute("${A}"), ConfigProvider.ConfigProvider, down)
      )
      assert.deepStrictEqual([error.code, error.message], [
        "INVALID_CONFIG",
        "The configuration source could not be read"
      ])
      assert.notInclude(`${JSON.stringify(error)} ${String(error.cause)}`, "abcdefghijklmnop")
    }))

  it.effect("what is malformed is told with its place and what is expected there", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(provide({})(EnvSubstitution.substitute("key: ${A")))
      assert.include(error.message, "offset 5 is not followed by the name of a variable")
      assert.deepStrictEqual(error.details, {
        offset: 5,
        expected: "${NAME} or ${NAME:-default}, with NAME of letters, digits and underscores"
      })
    }))
})
