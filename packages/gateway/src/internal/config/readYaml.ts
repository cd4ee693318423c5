import type { ConfigurationError } from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { type Document, LineCounter, parseDocument } from "yaml"
import { type Place, placeOf } from "./places.ts"

/** A parsed document. */
export interface Parsed {
  readonly tree: unknown
  /** The place of the value at a path with dots. */
  readonly placeOf: (path: string) => Place | undefined
}

/** Larger than any configuration; parsing takes a multiple of it in memory. */
const maxCharacters = 4_194_304

const unreadable = (expected: string, place?: Place): ConfigurationError =>
  InvalidConfig.option("", expected, {
    message: `The configuration is not valid YAML${
      place === undefined ? "" : ` at line ${place.line}, column ${place.column}`
    }: expected ${expected}`,
    details: { ...place }
  })

/** What is wrong at a place, without the text there, which may be a secret. */
const expectedFor = (code: string): string => {
  switch (code) {
    case "DUPLICATE_KEY":
      return "a member that stands once"
    case "TAB_AS_INDENT":
      return "spaces for indentation, not tabs"
    case "BAD_INDENT":
      return "the same indentation as the members before"
    case "MULTIPLE_DOCS":
      return "one document"
    default:
      return "YAML 1.2"
  }
}

/** Parses YAML. Fails with the line and the column of the fault, and never with the text there. */
export const readYaml = (text: string): Effect.Effect<Parsed, ConfigurationError> =>
  Effect.suspend(() => {
    if (text.length > maxCharacters) return Effect.fail(unreadable(`at most ${maxCharacters} characters`))
    const lines = new LineCounter()
    // Deep nesting and aliases of aliases throw.
    const parsed = Result.try((): { readonly document: Document; readonly tree: unknown } => {
      const document: Document = parseDocument(text, {
        lineCounter: lines,
        merge: true,
        prettyErrors: false,
        strict: true
      })
      return { document, tree: document.errors.length === 0 ? document.toJS({ maxAliasCount: 1000 }) : undefined }
    })
    if (Result.isFailure(parsed)) return Effect.fail(unreadable("at most 64 levels, and aliases that do not multiply"))
    const { document, tree } = parsed.success
    const [error] = document.errors
    if (error !== undefined) {
      const { col, line } = lines.linePos(error.pos[0])
      return Effect.fail(unreadable(expectedFor(error.code), { line, column: col }))
    }
    return Effect.succeed({ tree, placeOf: (path) => placeOf(document, lines, path) })
  })
