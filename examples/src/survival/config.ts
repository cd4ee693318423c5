/** The configuration file: one section for the API and one for the client, with the options of Keelson. */
import { Configuration, KeelsonError } from "@keelson/core"
import { ServerOptions, ValidatorOptions } from "@keelson/token"
import { ConfigProvider, Effect, Schema } from "effect"
import { readFile } from "node:fs/promises"
import { join } from "node:path"

const Config = Schema.Struct({ api: ValidatorOptions.ValidatorOptions, client: ServerOptions.ServerOptions })

const defaultFile = join(import.meta.dirname, "../../survival.yaml")

/** Names the file and the cause, such as ENOENT: the demo's file is no secret. */
const unreadable = (file: string) => (cause: unknown) => {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown cause"
  return new KeelsonError.ConfigurationError({
    code: "INVALID_CONFIG",
    message: `The configuration file ${file} cannot be read: ${code}`
  })
}

/** The error of a file's content, with the file. */
const inFile = (file: string) => ({ code, details, message }: KeelsonError.ConfigurationError) =>
  new KeelsonError.ConfigurationError({ code, details, message: `${file}: ${message}` })

/** Fails with `ConfigurationError`, which names the file, the option and its bound. */
export const loadConfig = Effect.fnUntraced(function*(
  file: string = defaultFile,
  variables: Record<string, string>
) {
  const text = yield* Effect.tryPromise({ try: () => readFile(file, "utf8"), catch: unreadable(file) })
  return yield* Effect.provideService(
    Configuration.decodeText(Config, { format: "yaml", text }),
    ConfigProvider.ConfigProvider,
    ConfigProvider.orElse(ConfigProvider.fromEnv({ env: variables }), ConfigProvider.fromEnv())
  ).pipe(Effect.mapError(inFile(file)))
})
