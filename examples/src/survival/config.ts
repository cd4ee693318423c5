/** The configuration file: one section for the API and one for the client, with the options of Keelson. */
import { Configuration, KeelsonError } from "@keelson/core"
import { ServerOptions, ValidatorOptions } from "@keelson/token"
import { ConfigProvider, Effect, Schema } from "effect"
import { readFile } from "node:fs/promises"
import { join } from "node:path"

const Config = Schema.Struct({ api: ValidatorOptions.ValidatorOptions, client: ServerOptions.ServerOptions })

const defaultFile = join(import.meta.dirname, "../../survival.yaml")

const unreadable = () =>
  new KeelsonError.ConfigurationError({ code: "INVALID_CONFIG", message: "The file of --config cannot be read" })

/** Fails with `ConfigurationError`, which names the option and its bound. */
export const loadConfig = Effect.fnUntraced(function*(
  file: string = defaultFile,
  variables: Record<string, string>
) {
  const text = yield* Effect.tryPromise({ try: () => readFile(file, "utf8"), catch: unreadable })
  return yield* Effect.provideService(
    Configuration.decodeText(Config, { format: "yaml", text }),
    ConfigProvider.ConfigProvider,
    ConfigProvider.orElse(ConfigProvider.fromEnv({ env: variables }), ConfigProvider.fromEnv())
  )
})
