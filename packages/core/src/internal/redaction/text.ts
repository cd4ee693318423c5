import { encodedRuns } from "./encoded.ts"
import { layouts } from "./layouts.ts"
import { head, marked, maxLength, TRUNCATED } from "./limits.ts"
import { pairs } from "./pairs.ts"
import { parameters, schemes } from "./schemes.ts"
import { documents, jwt, options, pem, prefixed, random, sentences } from "./tokens.ts"
import { userinfo } from "./userinfo.ts"

/**
 * The passes, in order. Longer forms come first; pairs of name and value come before passes that could mistake a name for a
 * value.
 */
const passes = [
  pem,
  userinfo,
  jwt,
  prefixed,
  layouts,
  parameters,
  documents,
  pairs,
  schemes,
  options,
  sentences,
  random
]

/** A replacement can expose another secret. This is more rounds than any known text needs. */
const rounds = 4

/** Repeats all passes until nothing changes. Percent-encoding is decoded up to three times. */
const all = (text: string, using = passes, layers = 3): string => {
  let before = text
  for (let round = 0; round < rounds; round++) {
    // Before decoding, which would let a `%40` or `%2F` of a password end it.
    const decoded = layers === 0 ? before : encodedRuns(userinfo(before), (run) => all(run, using, layers - 1))
    const after = using.reduce((current, pass) => pass(current), decoded)
    if (after === before) break
    before = after
  }
  return before
}

/** The passes for names: a random word may be the name itself. */
const passesOfNames = passes.filter((pass) => pass !== random)

/** The passes that can match a text of word characters, dots, slashes and hyphens. All others need another character. */
const passesOfWords = [pem, jwt, prefixed]
const words = /^[\w./-]*$/

/** What a text that one of these passes matches contains at least. */
const suspicious = /[\w-]{16}|[\w.-]{20}|xox|xapp|ya29|[sr]k_|slack|ey[JA]|ew[o0]|begin|whsec|glc_|sntry/i

const redactedName = (text: string): string => {
  if (!words.test(text)) return all(text, passesOfNames)
  return suspicious.test(text) ? passesOfWords.reduce((current, pass) => pass(current), text) : text
}

/** A redacted name of at most `limit` characters, cut at its end. */
export const redactName = (input: string, limit: number): string => {
  // The cut is far above the limit, so that no part of a secret that it divides is within the limit.
  const output = redactedName(input.length <= maxLength ? input : input.slice(0, maxLength))
  return output.length <= limit ? output : `${output.slice(0, Math.max(0, limit - TRUNCATED.length))}${TRUNCATED}`
}

/** A redacted text of at most `limit` characters, with a marker at its end if it was cut. */
export const redactText = (input: string, limit: number = maxLength): string => {
  const isMarked = input.length <= limit && (input === TRUNCATED || input.endsWith(` ${TRUNCATED}`))
  const cut = isMarked ? input.slice(0, -TRUNCATED.length).trimEnd() : head(input, limit)
  const room = limit - TRUNCATED.length - 1
  let output = all(cut ?? input)
  let more = head(output, cut === undefined ? limit : room)
  if (cut === undefined && more === undefined) return output
  for (let round = 0; more !== undefined && round < rounds; round++) {
    output = all(more)
    more = head(output, room)
  }
  return marked(more ?? output)
}
