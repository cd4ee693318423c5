import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

const word = Effect.map(
  Random.nextIntBetween(0, 2 ** 32, { halfOpen: true }),
  (int) => int.toString(16).padStart(8, "0")
)

/** A random UUID (RFC 9562, version 4), of Effect's `Random`, so that a seed repeats it. */
export const attemptId: Effect.Effect<string> = Effect.map(Effect.all([word, word, word, word]), (words) => {
  const hex = words.join("")
  const variant = (Number.parseInt(hex.slice(16, 17), 16) & 0x3 | 0x8).toString(16)
  return [hex.slice(0, 8), hex.slice(8, 12), `4${hex.slice(13, 16)}`, variant + hex.slice(17, 20), hex.slice(20)].join(
    "-"
  )
})
