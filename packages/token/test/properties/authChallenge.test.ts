import { assert, describe, it } from "@effect/vitest"
import { forAll, forAllEffect } from "@keelson/testing/properties"
import { Effect } from "effect"
import fc from "fast-check"
import * as OAuth from "oauth4webapi"
import { AuthChallenge } from "../../src/index.ts"

const token = fc.stringMatching(/^[!#$%&'*+.^_`|~\w-]{1,12}$/)
const text = fc.stringMatching(/^[\t \x21-\x7e\xa1-\xff]{0,20}$/)
const quoted = (value: string) => `"${value.replaceAll(/["\\]/g, "\\$&")}"`

const parameters = fc.uniqueArray(fc.tuple(token, fc.oneof(token, text)), {
  maxLength: 4,
  selector: ([name]) => name.toLowerCase()
})
const challenges = fc.array(fc.record({ scheme: token, parameters }), { minLength: 1, maxLength: 4 })

const isToken = (value: string) => /^[!#$%&'*+.^_`|~\w-]+$/.test(value)

interface Plain {
  readonly scheme: string
  readonly parameters: Readonly<Record<string, string>>
}

const plain = (header: string): ReadonlyArray<Plain> | undefined =>
  AuthChallenge.parse(header)?.map(({ parameters: own, scheme }) => ({ scheme, parameters: Object.fromEntries(own) }))

/** The challenges as oauth4webapi reads them. It shows them in the error of a response with a challenge. */
const foreign = async (header: string): Promise<ReadonlyArray<Plain> | undefined> => {
  try {
    await OAuth.protectedResourceRequest("token", "GET", new URL("https://api.example"), undefined, null, {
      [OAuth.customFetch]: () =>
        Promise.resolve(new Response(null, { status: 401, headers: { "www-authenticate": header } }))
    })
  } catch (error) {
    if (error instanceof OAuth.WWWAuthenticateChallengeError) {
      return error.cause.map(({ parameters: own, scheme }) => ({
        scheme,
        parameters: Object.fromEntries(Object.entries(own).map(([name, value]) => [name, value ?? ""]))
      }))
    }
  }
  return undefined
}

describe("AuthChallenge", () => {
  it("[K-37] reads what was written, whatever is in the quotes", (context) =>
    forAll(context, 1_000, fc.tuple(challenges, fc.boolean()), ([written, spaced]) => {
      const pair = ([name, value]: readonly [string, string]) =>
        `${name}${spaced ? " = " : "="}${isToken(value) ? value : quoted(value)}`
      const header = written
        .map(({ parameters: own, scheme }) =>
          [scheme, own.map(pair).join(", ")].filter((part) => part !== "").join(" ")
        )
        .join(", ")
      assert.deepStrictEqual(
        plain(header),
        written.map(({ parameters: own, scheme }) => ({
          scheme: scheme.toLowerCase(),
          parameters: Object.fromEntries(own.map(([name, value]) => [name.toLowerCase(), value]))
        }))
      )
    }))

  it("[K-37] agrees with oauth4webapi on headers that both read", async (context) => {
    let both = 0
    await forAllEffect(context, 500, challenges, (written) =>
      Effect.promise(async () => {
        const pair = ([name, value]: readonly [string, string]) =>
          `${name}=${quoted(value.replaceAll(/[^\x20-\x7e]/g, "x"))}`
        const header = written
          .map(({ parameters: own, scheme }) => `${scheme} ${own.map(pair).join(", ")}`.trim())
          .join(", ")
        // It keeps parameters in an object that has a prototype.
        if (header.includes("__proto__")) return
        const [ours, theirs] = [plain(header), await foreign(header)]
        if (ours === undefined || theirs === undefined) return
        both++
        assert.deepStrictEqual(ours, theirs)
      }))
    assert.isAbove(both, 100)
  })

  it("[K-37] never throws, whatever the header", (context) => {
    forAll(context, 1_000, fc.string({ unit: "binary", maxLength: 200 }), (header) => {
      AuthChallenge.parse(header)
    })
    for (const part of ["Bearer ", "a=\"\\", ",", " ", "a = ", "\\\"", "a=b,"]) {
      AuthChallenge.parse(`Bearer ${part.repeat(Math.floor(8_000 / part.length))}`)
    }
  })
})
