import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as base64url from "jose/base64url"

/** A built-in module of the platform, obtained without an import, so that this file loads on every platform. */
export const builtin = (name: string): unknown =>
  Result.getOrUndefined(Result.try((): unknown => globalThis.process?.getBuiltinModule?.(name)))

/** Whether this is Node itself: other platforms have parts of its modules, and say that they are something else. */
export const isNodeOf = (navigator: unknown, host: unknown): boolean =>
  Predicate.hasProperty(navigator, "userAgent") && Predicate.isString(navigator.userAgent)
    ? navigator.userAgent.startsWith("Node.js/")
    // Node 20 has no navigator, which all others have.
    : Predicate.hasProperty(host, "release") && Predicate.hasProperty(host.release, "name") &&
      host.release.name === "node"

/** Whether this platform is Node. */
export const isNode: boolean = isNodeOf(globalThis.navigator, globalThis.process)

/** Returns the SHA-256 of a text, or of bytes, in base64url, synchronously. */
export type HashText = (data: string | Uint8Array) => string

/** Node's one-shot hash (Node 20.12), which Bun, Deno and workerd have too. */
const isHash = (u: unknown): u is (algorithm: string, data: string | Uint8Array, encoding: string) => string =>
  Predicate.isFunction(u)

/** The synchronous hash of a crypto module; `undefined` where there is none, as in browsers. */
export const hashOf = (module: unknown): HashText | undefined => {
  if (!Predicate.hasProperty(module, "hash") || !isHash(module.hash)) return undefined
  const { hash } = module
  return (data) => hash("sha256", data, "base64url")
}

/** Bytes that convert to base64url, as Node's `Buffer` does. */
interface Bytes extends Uint8Array<ArrayBuffer> {
  toString(encoding?: "base64url"): string
}

/** Converts text to bytes, as Node's `Buffer` does: several times as fast as the web's equivalents. */
export interface MakeBytes {
  from(text: string, encoding?: "base64url"): Bytes
}

const isMakeBytes = (u: unknown): u is MakeBytes => Predicate.hasProperty(u, "from") && Predicate.isFunction(u.from)

/** `Buffer` of a buffer module; `undefined` where there is none. */
export const bytesOf = (module: unknown): MakeBytes | undefined =>
  Predicate.hasProperty(module, "Buffer") && isMakeBytes(module.Buffer) ? module.Buffer : undefined

/** The hash of this platform. */
export const hashText: HashText | undefined = hashOf(builtin("node:crypto"))
/** `Buffer` of this platform. */
export const makeBytes: MakeBytes | undefined = bytesOf(builtin("node:buffer"))

const encoder = new TextEncoder()

/** Encodes text as UTF-8, with `Buffer` or with web APIs. */
export const encoderOf = (platform: MakeBytes | undefined): (text: string) => Uint8Array<ArrayBuffer> =>
  platform === undefined ? (text) => encoder.encode(text) : (text) => platform.from(text)

/** Encodes text as UTF-8. */
export const encodeText = encoderOf(makeBytes)

/** Decodes base64url; `undefined` for text that is not canonical base64url. */
export type DecodeBase64url = (text: string) => Uint8Array<ArrayBuffer> | undefined

const decodeWeb: DecodeBase64url = (text) => {
  const bytes = Result.getOrUndefined(Result.try(() => new Uint8Array(base64url.decode(text))))
  return bytes !== undefined && base64url.encode(bytes) === text ? bytes : undefined
}

/** Decodes with `Buffer` or with web APIs. */
export const decoderOf = (platform: MakeBytes | undefined): DecodeBase64url =>
  platform === undefined ? decodeWeb : (text) => {
    const bytes = platform.from(text, "base64url")
    return bytes.toString("base64url") === text ? bytes : undefined
  }

/**
 * Decodes canonical base64url: no padding, no white space, no unused bits set. Decoders are lenient about these, so that
 * one signature would have many spellings (RFC 7515, 2; RFC 4648, 3.5). Therefore the bytes are encoded again and compared
 * with the text.
 */
export const decodeCanonical: DecodeBase64url = decoderOf(makeBytes)
