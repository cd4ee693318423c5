import { assert, describe, it } from "@effect/vitest"
import { Redaction } from "../src/index.ts"
import { shapes } from "./secretShapes.ts"

/**
 * What redaction of text cannot know: the value has nothing around it that says that it is secret. The guide names these.
 */
const outOfReach: ReadonlyArray<readonly [name: string, text: string, secret: string]> = [
  ["the values of an INSERT", "INSERT INTO users (name, password) VALUES ('a', 'Tr0ub4dor')", "Tr0ub4dor"],
  ["a password alone on a line", "hunter2", "hunter2"],
  ["a password among arguments", "argv: [ 'login', 'admin', 'hunter2' ]", "hunter2"],
  ["a password of words in a sentence", "I typed correct horse battery staple", "correct horse"],
  ["hexadecimal without a name", "got 9f86d081884c7d659a2feaa0c55ad015", "9f86d081"],
  ["a UUID that is a secret", "got 5f3a9c1e-7b2d-4e8f-9a6b-1c2d3e4f5a6b", "5f3a9c1e"],
  ["text that is compressed or encrypted, as hexadecimal", "got 1f8b0800000000000003cb48cdc9c9", "1f8b0800"],
  ["a secret that is spelled out", "p-a-s-s-w-o-r-d: h,u,n,t,e,r", "h,u,n"]
]

describe("Redaction of 160 shapes", () => {
  it("[K-28 G8] has at least 160 shapes, no two alike", () => {
    assert.isAtLeast(shapes.length, 160)
    assert.lengthOf(new Set(shapes.map(({ text }) => text)), shapes.length)
  })

  for (const { name, secret, text } of shapes.filter(({ name }) => name !== "parameters of a query")) {
    it(`[K-28 G8] ${name}`, () => {
      assert.include(text, secret)
      const output = Redaction.text(text)
      assert.notInclude(output, secret)
      assert.include(output, "[REDACTED]")
      assert.strictEqual(Redaction.text(output), output)
    })
  }

  for (const [name, text, secret] of outOfReach) {
    it(`is out of reach: ${name}`, () => assert.include(Redaction.text(text), secret))
  }

  const harmless = [
    "docker run -u 1000:1000 image",
    "ls -u admin",
    "{\"required\":[\"password\",\"username\"]}",
    "Access-Control-Allow-Headers: [ 'authorization', 'content-type' ]",
    "<add key=\"PageSize\" value=\"20\" />",
    "<password type=\"plain\"></password>",
    "{\"name\":\"page\",\"value\":\"20\"}",
    "{\"name\":\"token\",\"value\":null}",
    "AUTH failed for user admin",
    "src/a.ts:1234:56 error",
    "title = '''three quotes'''",
    "mysql -h db -u app main",
    "docker login r.example",
    "X-Api-Key is missing",
    "page=1&application=billing",
    "https://api.example.com/a%2Fb?x=%40home"
  ]
  for (const text of harmless) {
    it(`leaves ${JSON.stringify(text)} alone`, () => assert.strictEqual(Redaction.text(text), text))
  }
})
