import * as KeelsonError from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Effect from "effect/Effect"
import { X509Certificate } from "node:crypto"
import { readFile } from "node:fs/promises"
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls"

const unreadable = (path: string) => (cause: unknown) =>
  new KeelsonError.ConfigurationError({
    code: "KEY_FILE_UNREADABLE",
    message: `The file of certificate authorities cannot be read: ${path}`,
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
 * Builds the trusted authorities of all connections: Node's default ones (including `NODE_EXTRA_CA_CERTS`) and those in
 * `caFile`. Done once: parsing all roots again for every connection would take longer than the handshake.
 *
 * Fails with `ConfigurationError`: `KEY_FILE_UNREADABLE` if the file cannot be read, `INVALID_CONFIG` if it has no
 * certificate or one that cannot be parsed.
 */
export const trust = Effect.fnUntraced(function*(
  caFile: string | undefined
): Effect.fn.Return<SecureContext | undefined, KeelsonError.ConfigurationError> {
  if (caFile === undefined) return undefined
  const text = yield* Effect.tryPromise({ try: () => readFile(caFile, "utf8"), catch: unreadable(caFile) })
  const certificates = text.match(certificate) ?? []
  if (certificates.length === 0) return yield* malformed(caFile)
  return yield* Effect.try({
    try: () => {
      // Node silently skips authorities that it cannot parse; `X509Certificate` throws.
      const parsed = certificates.map((pem) => new X509Certificate(pem).toString())
      return createSecureContext({ ca: [...getCACertificates("default"), ...parsed] })
    },
    catch: () => malformed(caFile)
  })
})
