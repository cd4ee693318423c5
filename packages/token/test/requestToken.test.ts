import { assert, describe, it } from "@effect/vitest"
import { headOf } from "../src/internal/http/requestHead.ts"
import { findToken, type TokenSources } from "../src/internal/http/requestToken.ts"

const token = "aaaa.bbbb.cccc"
const cookie = { name: "__Host-token", origins: ["https://app.example"] }

const find = (
  method: string,
  url: string,
  headers: ReadonlyArray<readonly [string, string]>,
  sources: TokenSources
) => findToken(headOf({ method, url, headers }, sources.header === undefined ? [] : [sources.header]), sources)

describe("The token of a request", () => {
  it("[K-28 J5] [K-28 J17] [K-28 D6] [R7] a cookie needs a listed origin with every method but GET, HEAD, OPTIONS and QUERY", () => {
    const outcomeOf = (method: string) =>
      find(method, "/me", [["cookie", `${cookie.name}=${token}`], ["origin", "https://evil.example"]], { cookie })._tag
    for (const method of ["GET", "HEAD", "OPTIONS", "QUERY"]) assert.strictEqual(outcomeOf(method), "Token", method)
    const unsafe = [
      "POST",
      "PUT",
      "PATCH",
      "DELETE",
      "CONNECT",
      "TRACE",
      "PROPFIND",
      "MKCOL",
      "REPORT",
      "SEARCH",
      "X",
      ""
    ]
    for (const method of unsafe) assert.strictEqual(outcomeOf(method), "OtherOrigin", method)
    for (const method of unsafe) {
      const headers = [["cookie", `${cookie.name}=${token}`], ["origin", "https://app.example"]] as const
      assert.strictEqual(find(method, "/me", headers, { cookie })._tag, "Token", method)
    }
  })

  it("[K-28 J17] [K-28 D6] [R7] a token in the query is accepted with GET alone", () => {
    const inQuery = { queryParameter: "access_token" }
    const outcomeOf = (method: string) => find(method, `/me?access_token=${token}`, [], inQuery)
    assert.strictEqual(outcomeOf("GET")._tag, "Token")
    for (const method of ["HEAD", "OPTIONS", "QUERY", "POST", "PUT", "PATCH", "DELETE", "TRACE", "REPORT", ""]) {
      assert.deepInclude(outcomeOf(method), { _tag: "Invalid" }, method)
    }
  })

  it("[R7] two cookies with the same name are two tokens, even with equal values, in one header or in two", () => {
    const pair = `${cookie.name}=${token}`
    const repeated = [[["cookie", `${pair}; ${pair}`]], [["cookie", pair], ["cookie", pair]]] as const
    for (const headers of repeated) {
      const found = find("GET", "/me", headers, { cookie })
      assert.strictEqual(found._tag === "Invalid" ? found.problem.name : found._tag, "TokenRepeated")
    }
  })

  it("[K-28 G6] a cookie whose name begins with a character that only JavaScript trims is another cookie", () => {
    const found = (header: string) => find("GET", "/me", [["cookie", header]], { cookie })
    for (const space of ["\u00a0", "\ufeff", "\u000b", "\f", "\u2028", "\u3000", "\u0085", "\r", "\n"]) {
      const planted = `${space}${cookie.name}=evil.evil.evil`
      assert.deepStrictEqual(found(planted), { _tag: "None" })
      assert.deepStrictEqual(found(`${planted}; ${cookie.name}=${token}`), {
        _tag: "Token",
        source: "cookie",
        text: token
      })
      assert.deepStrictEqual(found(`${cookie.name}${space}=evil.evil.evil`), { _tag: "None" })
      assert.strictEqual(found(`${cookie.name}=${space}${token}`)._tag, "Invalid")
    }
    for (const header of [` \t${cookie.name}\t = \t${token} `, `a=b;\t${cookie.name}=${token}`]) {
      assert.deepStrictEqual(found(header), { _tag: "Token", source: "cookie", text: token })
    }
  })

  it("[K-28 G9] the fragment is cut before the query is read", () => {
    const inQuery = { queryParameter: "access_token" }
    for (const url of [`/who#?access_token=${token}`, `/who?a=b#&access_token=${token}`, `#?access_token=${token}`]) {
      assert.deepStrictEqual(find("GET", url, [], inQuery), { _tag: "None" }, url)
    }
    assert.deepInclude(find("GET", `/who?access_token=${token}#?access_token=x`, [], inQuery), { text: token })
  })

  it("[K-28 B4] [R7] a named header is a separate source: off by default, without a scheme, and never beside another source", () => {
    const header = "cf-access-jwt-assertion"
    const own = ["Cf-Access-Jwt-Assertion", token] as const
    assert.deepStrictEqual(find("POST", "/me", [own], {}), { _tag: "None" })
    assert.deepStrictEqual(find("POST", "/me", [own], { header }), {
      _tag: "Token",
      source: "namedHeader",
      text: token
    })
    assert.deepStrictEqual(find("GET", "/me", [], { header }), { _tag: "None" })
    assert.deepStrictEqual(find("GET", "/me", [["authorization", `Bearer ${token}`]], { header }), {
      _tag: "Token",
      source: "header",
      text: token
    })
    const repeated = { _tag: "Invalid", problem: { name: "TokenRepeated" } } as const
    const nameOf = (...args: Parameters<typeof find>) => {
      const found = find(...args)
      return found._tag === "Invalid" ? found.problem.name : found._tag
    }
    const others: ReadonlyArray<readonly [string, string]> = [
      own,
      ["authorization", `Bearer ${token}`],
      ["cookie", `${cookie.name}=${token}`]
    ]
    for (const other of others) {
      assert.strictEqual(nameOf("GET", "/me", [own, other], { cookie, header }), repeated.problem.name)
    }
    const inUrl = { header, queryParameter: "access_token" }
    assert.strictEqual(nameOf("GET", `/me?access_token=${token}`, [own], inUrl), repeated.problem.name)
    for (const text of [`Bearer ${token}`, `${token} ${token}`, `${token},${token}`]) {
      assert.strictEqual(nameOf("GET", "/me", [[header, text]], { header }), "TokenMalformed", text)
    }
  })
})
