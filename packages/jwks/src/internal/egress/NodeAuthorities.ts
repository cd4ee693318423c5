import * as KeelsonError from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Effect from "effect/Effect"
import { X509Certificate } from "node:crypto"
import { readFile } from "node:fs/promises"
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls"

const unreadable = (path: string) => (cause: unknown) =>
  new KeelsonError.ConfigurationError({
    code: "KEY_FILE_UNREADABLE",
    message: `The file of authorities cannot be read: ${path}`,
    details: { path },
    cause
  })

const expected = "a PEM file of certificates, at least one"

const malformed = (path: string) =>
  InvalidConfig.option("caFile", expected, {
    message: `Invalid configuration: caFile must be ${expected}: ${path}`,
    details: { file: path }
  })

const certificate = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g

/**
 * What connections trust: the authorities that Node has by itself (with those of `NODE_EXTRA_CA_CERTS`), and those of a
 * file. It is read once; parsing all roots anew for every connection would take longer than the handshake.
 */
export const trust = Effect.fnUntraced(function*(
  caFile: string | undefined
): Effect.fn.Return<SecureContext | undefined, KeelsonError.ConfigurationError> {
  if (caFile === undefined) return undefined
  const text = yield* Effect.tryPromise({ try: () => readFile(caFile, "utf8"), catch: unreadable(caFile) })
  const own = text.match(certificate) ?? []
  if (own.length === 0) return yield* malformed(caFile)
  return yield* Effect.try({
    try: () => {
      // Node passes over what it cannot parse in a list of authorities; this does not.
      const parsed = own.map((pem) => new X509Certificate(pem).toString())
      return createSecureContext({ ca: [...getCACertificates("default"), ...parsed] })
    },
    catch: () => malformed(caFile)
  })
})
