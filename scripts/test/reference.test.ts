import { assert, describe, it } from "@effect/vitest"
import { ErrorCode } from "@keelson/core"
import * as Field from "@keelson/core/unstable/Field"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import { Result, Schema } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { decodeResult } from "../../packages/core/src/internal/configuration/decodeResult.ts"
import { stale } from "../pages.ts"
import { pages } from "../reference.ts"
import { defaultCell, sections } from "../referenceConfiguration.ts"
import { list, table } from "../referenceMarkdown.ts"
import { optionsOf } from "../referenceSchema.ts"

const root = join(import.meta.dirname, "../..")
const made = pages()
const text = (name: string): string => made.get(`docs/reference/${name}.md`) ?? ""

/** The cells of every row of a page whose first cell is the one given. */
const rows = (markdown: string, first: string): ReadonlyArray<ReadonlyArray<string>> =>
  markdown.split("\n")
    .filter((line) => line.startsWith(`| ${first} `))
    .map((line) => line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim()))

describe("reference", () => {
  describe("error codes", () => {
    const page = text("error-codes")

    it.each(ErrorCode.ErrorCode.literals)(
      "[S3-36] has %s by id and by name, with all that the catalogue says",
      (name) => {
        const info = ErrorCode.codeInfo[name]
        const anchor = `#${info.id.toLowerCase()}`
        assert.isTrue(ErrorCode.documentationUrl(name).endsWith(anchor))
        assert.deepStrictEqual(rows(page, `[${info.id}](${anchor})`), [[
          `[${info.id}](${anchor})`,
          `\`${name}\``,
          info.category,
          info.severity,
          String(info.status),
          info.retryable ? "yes" : "no",
          info.breaker
        ]])
        const [, section = ""] = page.split(`\n## ${info.id}\n`)
        const [body = ""] = section.split("\n## ")
        for (const part of [name, info.description, ...info.troubleshooting]) assert.include(body, part)
      }
    )

    it("has no heading beside the ids, so that every anchor is one of them", () => {
      const headings = Array.from(page.matchAll(/^#+ (.*)$/gm), ([, heading]) => heading)
      assert.deepStrictEqual(headings, [
        "Error codes",
        ...ErrorCode.ErrorCode.literals.map((name) => ErrorCode.codeInfo[name].id)
      ])
    })
  })

  it("[S3-36] metrics: has every definition with kind, unit and labels", () => {
    for (
      const { description, kind, labels, name, unit } of Object.values<MetricSeries.Definition>(
        MetricSeries.definitions
      )
    ) {
      const shown = labels.map((label) => `\`${label}\``).join(", ") || "none"
      // A family may have series of two kinds, with other labels.
      const found = rows(text("metrics"), `\`keelson_${name}\``).filter(([, , , cell]) => cell === shown)
      assert.deepStrictEqual(found.map(([, ...cells]) => cells), [[kind, unit, shown, description]])
    }
  })

  describe("configuration", () => {
    const sectionOf = (title: string): string =>
      text("configuration").split(`## ${title}\n`)[1]?.split("\n## ")[0] ?? ""

    it.each(sections)("$title: has every option with its value, default and meaning", ({ options, title }) => {
      assert.isNotEmpty(options)
      for (const option of options) {
        const found = rows(sectionOf(title), `\`${option.name}\``)
        assert.lengthOf(found, 1)
        assert.deepStrictEqual(found[0]?.slice(2), [defaultCell(option), option.meaning])
        assert.isAbove(found[0]?.[1]?.length ?? 0, 3)
      }
    })

    it("has the options that are code only: of the stores in Redis, files and key-value stores", () => {
      const ofCode = sections.filter(({ decoder }) => decoder === undefined)
      assert.isAtLeast(ofCode.length, 4)
      const redis = ofCode.find(({ title }) => title === "BreakerStore.layerRedis")
      assert.deepStrictEqual(redis?.options.map(({ isRequired, name }) => [name, isRequired]), [
        ["redis", true],
        ["prefix", false],
        ["timeout", false],
        ["retryInterval", false]
      ])
    })

    const decoded = sections.flatMap((section) =>
      section.decoder === undefined
        ? []
        : [{ ...section, decode: decodeResult(section.decoder), rules: section.rules ?? [] }]
    )

    it.each(decoded)("$title: its rules are refused where they are broken", ({ decode, rules, sample = {}, title }) => {
      assert.isTrue(Result.isSuccess(decode(sample)))
      for (const { broken, text } of rules) {
        assert.isTrue(Result.isFailure(decode(broken)), text)
        assert.include(sectionOf(title), `- ${text}`)
      }
    })

    it.each(decoded)("$title: a default is written as the option takes it", ({ decode, options, sample }) => {
      const defaults = decode({ ...sample })
      for (const { name, preset, value } of options) {
        if (preset === undefined || !value.startsWith("a duration")) continue
        assert.deepStrictEqual(decode({ ...sample, [name]: preset }), defaults)
      }
    })

    it.each(decoded)("$title: what is said to be required is missed where it is not given", (section) => {
      const { decode, options } = section
      const without = (omitted: string) =>
        Object.fromEntries(Object.entries({ ...section.sample }).filter(([name]) => name !== omitted))
      const notMissed = options.filter(({ isRequired, name }) => isRequired && Result.isSuccess(decode(without(name))))
      assert.deepStrictEqual(notMissed, [])
    })
  })

  it("refuses an option without a doc comment, with wrong bounds in it, or of a type that it has no words for", () => {
    const size = Schema.Struct({ size: Schema.optionalKey(Schema.Boolean) })
    const unknown = Schema.Struct({ size: Schema.optionalKey(Schema.Symbol) })
    const comments = (text: string) => new Map([["size", text]])
    assert.strictEqual(optionsOf(size, comments("How big. Default none."))[0]?.meaning, "How big.")
    assert.throws(() => optionsOf(size, new Map()), "size has no doc comment")
    assert.throws(() => optionsOf(size, comments("How big. Default 3.")), "has to end with: Default none.")
    assert.throws(() => optionsOf(unknown, comments("How big. Default none.")), "has no words")
  })

  it("has words for what is required, key material, records, text in JSON, and lists that are empty", () => {
    const names = Schema.Array(Schema.String.check(Schema.isMinLength(1))).check(
      Schema.isMaxLength(9, { expected: "a list of 1 to 9 names" })
    )
    const options = Schema.Struct({
      size: Schema.String.check(Schema.isMaxLength(9, { expected: "text from 1 to 9 characters" })),
      secret: Schema.optionalKey(
        Schema.RedactedFromValue(Schema.String.check(Schema.isMaxLength(9, { expected: "1 to 9 characters" })))
      ),
      jwk: Schema.optionalKey(Schema.RedactedFromValue(Schema.Record(Schema.String, Schema.Unknown))),
      names: Schema.Union([names, Schema.fromJsonString(names)]),
      hosts: Field.defaulted(Schema.Array(Schema.String.check(Schema.isMinLength(1))), [])
    })
    const comments = new Map([
      ["size", "A. From 1 to 9 characters. Required."],
      ["secret", "B. From 1 to 9 characters. Default none."],
      ["jwk", "C. Default none."],
      ["names", "D. From 1 to 9 names. Required."],
      ["hosts", "E. Default none."]
    ])
    assert.deepStrictEqual(
      optionsOf(options, comments).map(({ isRequired, meaning, value }) => [meaning, value, isRequired]),
      [
        ["A.", "text from 1 to 9 characters", true],
        ["B.", "1 to 9 characters; redacted", false],
        ["C.", "an object; redacted", false],
        ["D.", "a list of 1 to 9 names; or the same as text in JSON", true],
        ["E.", "a list; each item text that is not empty", false]
      ]
    )
    const optional = new Map([...comments, ["size", "A. From 1 to 9 characters. Default none."]])
    assert.throws(() => optionsOf(options, optional), "size has to end with: From 1 to 9 characters. Required.")
  })

  it("pads tables to their widest cell, and keeps bars out of them", () => {
    assert.strictEqual(table(["a", "b"], [["x|y", "1"]]), "| a    | b   |\n| ---- | --- |\n| x\\|y | 1   |")
    assert.strictEqual(list(["one", "two"]), "- one\n- two")
  })

  it("tells the pages that are missing or differ", () => {
    const two = new Map([["a.md", "a\n"], ["b.md", "b\n"]])
    assert.deepStrictEqual(stale(two, (path) => path === "a.md" ? "a\n" : undefined), ["b.md"])
    assert.deepStrictEqual(stale(two, () => "a\n"), ["b.md"])
  })

  it("the pages in docs/reference are as the sources have them", () => {
    const onDisk = (path: string) => readFileSync(join(root, path), "utf8").replaceAll("\r\n", "\n")
    assert.deepStrictEqual(stale(made, onDisk), [])
  })
})
