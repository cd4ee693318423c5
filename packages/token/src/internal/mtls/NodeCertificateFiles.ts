import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { createPrivateKey, X509Certificate } from "node:crypto"
import { readFile, stat } from "node:fs/promises"
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls"

/** The files of a client certificate. */
export interface CertificateFiles {
  readonly certFile: string
  readonly keyFile: string
  readonly passphrase?: Redacted.Redacted | undefined
  readonly caFile?: string | undefined
}

/** The settings of connections with the certificate, and of those without; both trust the authorities of `caFile`. */
export interface TlsContexts {
  readonly certified: SecureContext
  readonly plain: SecureContext | undefined
}

type FileOption = "certFile" | "keyFile" | "caFile"

const unreadable = (option: FileOption, path: string) =>
  new KeelsonError.ConfigurationError({
    code: "KEY_FILE_UNREADABLE",
    message: `The file of ${option} cannot be read: ${path}`,
    details: { path, option }
  })

/** Drops the cause, which may contain parts of a file. */
const invalid = (option: FileOption, path: string, expected: string) =>
  new KeelsonError.ConfigurationError({
    code: "KEY_INVALID",
    message: `Invalid key: ${option} must be ${expected}: ${path}`,
    details: { path, option, expected }
  })

const read = (option: FileOption, path: string) =>
  Effect.tryPromise({ try: () => readFile(path, "utf8"), catch: () => unreadable(option, path) })

/** What changes when a file is replaced, also by a symbolic link, or written again. */
export const versionOf = ({ caFile, certFile, keyFile }: CertificateFiles): Effect.Effect<string> =>
  Effect.orElseSucceed(
    Effect.tryPromise(() =>
      Promise.all([certFile, keyFile, ...(caFile === undefined ? [] : [caFile])].map((path) => stat(path)))
    ).pipe(
      Effect.map((all) => all.map(({ ctimeMs, ino, mtimeMs, size }) => `${ino} ${mtimeMs} ${ctimeMs} ${size}`).join())
    ),
    () => "unreadable"
  )

const certificates = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g

/** Node silently skips authorities that it cannot parse; `X509Certificate` throws. */
const authoritiesIn = (path: string, text: string): Effect.Effect<Array<string>, KeelsonError.ConfigurationError> =>
  Effect.try({
    try: () => {
      const found = text.match(certificates) ?? []
      if (found.length === 0) throw new TypeError("empty")
      return [...getCACertificates("default"), ...found.map((pem) => new X509Certificate(pem).toString())]
    },
    catch: () => invalid("caFile", path, "a PEM file of certificates, at least one")
  })

/**
 * Reads the files, and checks that the key belongs to the certificate: files that are replaced one after the other do not match
 * for a moment. Warns of a certificate that is expired.
 *
 * Fails with `ConfigurationError`: `KEY_FILE_UNREADABLE` with the path, `KEY_INVALID` with the path and what is expected.
 */
export const loadCertificate = Effect.fnUntraced(function*(
  { caFile, certFile, keyFile, passphrase }: CertificateFiles
): Effect.fn.Return<TlsContexts, KeelsonError.ConfigurationError> {
  const [cert, key] = yield* Effect.all([read("certFile", certFile), read("keyFile", keyFile)], { concurrency: 2 })
  const ca = caFile === undefined ? undefined : yield* authoritiesIn(caFile, yield* read("caFile", caFile))
  const certificate = yield* Effect.try({
    try: () => new X509Certificate(cert),
    catch: () => invalid("certFile", certFile, "a PEM file of a certificate and its chain")
  })
  const secret = passphrase === undefined ? {} : { passphrase: Redacted.value(passphrase) }
  const privateKey = yield* Effect.try({
    try: () => createPrivateKey({ key, ...secret }),
    catch: () => invalid("keyFile", keyFile, "a PEM file of a private key, whose passphrase is given if it has one")
  })
  if (!certificate.checkPrivateKey(privateKey)) {
    return yield* invalid("keyFile", keyFile, "the private key of the certificate in certFile")
  }
  if (certificate.validToDate.getTime() < (yield* Clock.currentTimeMillis)) {
    yield* Effect.logWarning("The client certificate is expired; servers will refuse it", { certFile })
  }
  return yield* Effect.try({
    try: () => ({
      certified: createSecureContext({ cert, key, ...secret, ...(ca === undefined ? undefined : { ca }) }),
      plain: ca === undefined ? undefined : createSecureContext({ ca })
    }),
    catch: () => invalid("certFile", certFile, "a certificate that TLS accepts")
  })
})
