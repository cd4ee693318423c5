/**
 * The certificate of a TLS listener, read again when its files change.
 */
import type { ConfigurationError } from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as Scope from "effect/Scope"
import { createSecureContext } from "node:tls"
import type { Tls } from "../../ListenOptions.ts"
import type { Certificate, Listener } from "../server/NodeListener.ts"
import { onChange } from "./NodeWatch.ts"

const readFile = (path: string, option: string) =>
  Effect.flatMap(
    FileSystem.FileSystem,
    (fs) =>
      Effect.mapError(fs.readFile(path), (cause) => InvalidConfig.option(option, "a file that can be read", { cause }))
  )

/** Reads a certificate and its key, and checks that they belong together. */
export const readCertificate = (
  section: string,
  { certFile, keyFile }: Tls
): Effect.Effect<Certificate, ConfigurationError, FileSystem.FileSystem> =>
  Effect.flatMap(
    Effect.all({
      cert: readFile(certFile, `${section}.tls.certFile`),
      key: readFile(keyFile, `${section}.tls.keyFile`)
    }),
    (certificate) =>
      Effect.try({
        try: () => {
          createSecureContext({ cert: Buffer.from(certificate.cert), key: Buffer.from(certificate.key) })
          return certificate
        },
        // The cause could show the key.
        catch: () => InvalidConfig.option(`${section}.tls`, "a certificate and its private key in PEM")
      })
  )

/** Takes a renewed certificate for connections that begin then. One that cannot be used changes nothing. */
export const renewCertificate = (
  section: string,
  tls: Tls,
  listener: Listener
): Effect.Effect<void, never, FileSystem.FileSystem | Scope.Scope> =>
  Effect.flatMap(Effect.context<FileSystem.FileSystem>(), (context) =>
    onChange(
      [tls.certFile, tls.keyFile],
      readCertificate(section, tls).pipe(
        Effect.tap((certificate) => Effect.sync(() => listener.renew(certificate))),
        Effect.andThen(Effect.logInfo("TLS certificate read again")),
        Effect.catch((error) =>
          Effect.logWarning("The renewed TLS certificate cannot be used; the one before stays", error)
        ),
        Effect.provideContext(context)
      )
    ))
