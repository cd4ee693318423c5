import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Struct from "effect/Struct"
import type { GatewayConfig } from "../../GatewayConfig.ts"

/** The new configuration changes what takes effect only at a start (`GATEWAY_RELOAD_REFUSED`). */
export class ReloadRefused extends KeelsonError.CodedError<"GATEWAY_RELOAD_REFUSED"> {
  readonly _tag = "ReloadRefused"
  override readonly name = "ReloadRefused"
  constructor(section: string) {
    super({
      code: "GATEWAY_RELOAD_REFUSED",
      message: `The section ${section} takes effect only at a start; nothing was changed`,
      details: { section }
    })
  }
}

const cacheOf = ({ cache }: GatewayConfig) => Struct.omit(cache, ["buckets"])

/** Fails if a configuration changes a section that a running gateway keeps: listeners, tiers, audit log, processes. */
export const checkFixed = (current: GatewayConfig, next: GatewayConfig): Effect.Effect<void, ReloadRefused> => {
  for (const section of ["listen", "admin", "audit", "workers"] as const) {
    if (!Equal.equals(current[section], next[section])) return Effect.fail(new ReloadRefused(section))
  }
  return Equal.equals(cacheOf(current), cacheOf(next)) ? Effect.void : Effect.fail(new ReloadRefused("cache"))
}
