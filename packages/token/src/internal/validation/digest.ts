import * as Effect from "effect/Effect"
import * as base64url from "jose/base64url"
import { encodeText, type HashText } from "./platform.ts"

/** Returns the SHA-256 of a text, or of bytes, in base64url: at once, or later. */
export type Digest = (data: string | Uint8Array<ArrayBuffer>) => string | Promise<string>

const digestOnWeb = async (data: string | Uint8Array<ArrayBuffer>): Promise<string> => {
  const bytes = await crypto.subtle.digest("SHA-256", typeof data === "string" ? encodeText(data) : data)
  return base64url.encode(new Uint8Array(bytes))
}

/** A digest that is synchronous where the platform has a hash of its own. The results are the same on all platforms. */
export const digestOf = (hash: HashText | undefined): Digest => hash ?? digestOnWeb

/** Takes a value now, or when it is there. */
export const andThen = <A, B, E>(
  value: A | Promise<A>,
  next: (value: A) => Effect.Effect<B, E>
): Effect.Effect<B, E> => value instanceof Promise ? Effect.flatMap(Effect.promise(() => value), next) : next(value)
