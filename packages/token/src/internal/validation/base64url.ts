import * as Result from "effect/Result"
import { base64url } from "jose"
import { type MakeBytes, makeBytes } from "./platform.ts"

/** The bytes of a text; `undefined` for one that has none. */
export type Decode = (text: string) => Uint8Array<ArrayBuffer> | undefined

const decodeWeb = (text: string): Uint8Array<ArrayBuffer> | undefined => {
  const bytes = Result.getOrUndefined(Result.try(() => new Uint8Array(base64url.decode(text))))
  return bytes !== undefined && base64url.encode(bytes) === text ? bytes : undefined
}

/** Decodes with the platform's bytes, or as the web does. */
export const decoderOf = (platform: MakeBytes | undefined): Decode =>
  platform === undefined ? decodeWeb : (text) => {
    const bytes = platform.from(text, "base64url")
    return bytes.toString("base64url") === text ? bytes : undefined
  }

/**
 * The bytes of a text that is canonical base64url: no padding, no white space, no unused bits set. Decoders are lenient
 * about these, and one signature would have many spellings (RFC 7515, 2; RFC 4648, 3.5). So the bytes are encoded again,
 * and have to give the text.
 */
export const decodeCanonical: Decode = decoderOf(makeBytes)
