import * as Schema from "effect/Schema"
import type { BindingOptions } from "../../BindingOptions.ts"
import { modeOf } from "./modeOf.ts"

/** The checks of options that depend on each other. */
export const optionChecks = [
  Schema.makeFilter(({ baseUrls, dpop }: BindingOptions) => baseUrls !== undefined || modeOf(dpop) === "off", {
    expected: "baseUrls with dpop: the URLs by which clients reach the API, as https://api.example"
  }),
  Schema.makeFilter(
    ({ dpop, mtls, requireBinding }: BindingOptions) =>
      !requireBinding || modeOf(dpop) !== "off" || modeOf(mtls) !== "off",
    { expected: "dpop or mtls with requireBinding" }
  )
] as const
