/** The configuration file: one section for the API, one for the client, each with the options of Keelson's own. */
import { Configuration, KeelsonError } from "@keelson/core"
import { ServerOptions, ValidatorOptions } from "@keelson/token"
import { ConfigProvider, Effect, Schema } from "effect"
import { readFile } from "node:fs/promises"
import { join } from "node:path"

const Survival = Schema.Struct({ api: ValidatorOptions.ValidatorOptions, client: ServerOptions.ServerOptions })

const usual = join(import.meta.dirname, "../../survival.yaml")

const unreadable = () =>
  new KeelsonError.ConfigurationError({ code: "INVALID_CONFIG", message: "The file of --config can't be read" })

/** Fails with `ConfigurationError`, which names the option and its bound. */
export const loadConfig = Effect.fnUntraced(function*(
  file: string = usual,
  variables: Record<string, string>
) {
  const text = yield* Effect.tryPromise({ try: () => readFile(file, "utf8"), catch: unreadable })
  return yield* Effect.provideService(
    Configuration.decodeText(Survival, { format: "yaml", text }),
    ConfigProvider.ConfigProvider,
    ConfigProvider.orElse(ConfigProvider.fromEnv({ env: variables }), ConfigProvider.fromEnv())
  )
})
