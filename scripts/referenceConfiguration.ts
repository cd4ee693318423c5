/** docs/reference/configuration.md, from the schemas of the options. */
import { BreakerPolicy, ResiliencePolicy, RetryBudget, RetryPolicy } from "@keelson/core"
import type { Schema } from "effect"
import { callerSections } from "./referenceCallerOptions.ts"
import { commentsOf } from "./referenceComments.ts"
import { guardSections } from "./referenceGuardOptions.ts"
import { keySections, snapshotOptions } from "./referenceKeyOptions.ts"
import { code, list, page, table } from "./referenceMarkdown.ts"
import { type OptionInfo, type Options, optionsOf } from "./referenceOptions.ts"
import { tokenSections } from "./referenceTokenOptions.ts"

export interface Section {
  readonly title: string
  readonly schema: Options
  /** What the rules are checked by, where that is another schema. */
  readonly checked?: Schema.ConstraintDecoder<unknown>
  /** The modules whose doc comments describe the options, as in `core/RetryPolicy`. */
  readonly modules: ReadonlyArray<string>
  readonly intro: string
  /** Options that are complete, where some are required. */
  readonly sample?: object
  /** What two options may not be together, each with options that break it. */
  readonly rules: ReadonlyArray<{ readonly text: string; readonly broken: object }>
}

const timesRule = {
  text: "`attemptTimeout` is not above `deadline`.",
  broken: { attemptTimeout: "2 seconds", deadline: "1 second" }
}

const policySections: ReadonlyArray<Section> = [
  {
    title: "ResiliencePolicy",
    schema: ResiliencePolicy.ResiliencePolicy,
    modules: ["core/RetryPolicy", "core/ResiliencePolicy"],
    intro: "For `Resilience.make`. A part that is left out is not there: no retry, no breaker, no deadline.",
    rules: [timesRule]
  },
  {
    title: "RetryPolicy",
    schema: RetryPolicy.Data,
    modules: ["core/Backoff", "core/RetryPolicy"],
    intro: [
      "For `RetryPolicy.make`, and for the section `retry` of a `ResiliencePolicy`, where `attemptTimeout`, `deadline` and",
      "`detach` belong to the policy around it. In code, `schedule` takes any `Schedule` in place of the backoff, and `budget`",
      "also takes a `RetryBudget` to share."
    ].join("\n"),
    rules: [
      {
        text: "`maxDelay` is not below `initialDelay`.",
        broken: { initialDelay: "2 seconds", maxDelay: "1 second" }
      },
      timesRule
    ]
  },
  {
    title: "RetryBudget",
    schema: RetryBudget.Policy,
    modules: ["core/RetryBudget"],
    intro: "For `RetryBudget.make`, and for the section `budget` of a `RetryPolicy`.",
    rules: []
  },
  {
    title: "BreakerPolicy",
    schema: BreakerPolicy.BreakerPolicy,
    modules: ["core/BreakerPolicy"],
    intro: "For `Breaker.make`, and for the section `breaker` of a `ResiliencePolicy`.",
    rules: [
      {
        text: "With the strategy `ratio`, `minimumCalls` is not above `windowSize`.",
        broken: { strategy: "ratio", minimumCalls: 20, windowSize: 10 }
      }
    ]
  }
]

/** Every section that has a schema. */
export const sections: ReadonlyArray<Section> = [
  ...policySections,
  ...keySections,
  ...tokenSections,
  ...callerSections,
  ...guardSections
]

const anchors: Readonly<Record<string, string>> = {
  retry: "[RetryPolicy](#retrypolicy)",
  breaker: "[BreakerPolicy](#breakerpolicy)",
  budget: "[RetryBudget](#retrybudget)",
  jwks: "[JwksOptions](#jwksoptions)",
  cookie: "[Cookie](#cookie)",
  policy: "[RefreshPolicy](#refreshpolicy)",
  acquisition: "[ResiliencePolicy](#resiliencepolicy)",
  resilience: "[ResiliencePolicy](#resiliencepolicy)",
  client: "[OAuthOptions](#oauthoptions)"
}

/** What stands in the column of defaults. */
export const defaultCell = ({ isRequired, preset }: Pick<OptionInfo, "isRequired" | "preset">): string => {
  if (isRequired === true) return "required"
  return preset === undefined ? "none" : code(preset)
}

const row = (option: OptionInfo): ReadonlyArray<string> => [
  code(option.name),
  option.value === "a section" ? `a section: ${anchors[option.name] ?? ""}` : option.value,
  defaultCell(option),
  option.meaning
]

const head = ["Option", "Value", "Default", "Meaning"]

/** The options of a section. */
export const optionsIn = ({ modules, schema }: Pick<Section, "modules" | "schema">): ReadonlyArray<OptionInfo> =>
  optionsOf(schema, commentsOf(modules))

const blocks = ({ intro, modules, rules, schema, title }: Section): ReadonlyArray<string> => [
  `## ${title}`,
  intro,
  table(head, optionsIn({ modules, schema }).map(row)),
  ...(rules.length === 0 ? [] : [list(rules.map(({ text }) => text))])
]

/** `BreakerStore.layerRedis` takes a layer, so its options are code and have no schema. */
export const redisOptions: ReadonlyArray<OptionInfo> = [
  {
    name: "redis",
    value: "a `Layer` of `Redis`",
    preset: undefined,
    isRequired: true,
    meaning: "The connection, such as `NodeRedis.layer(...)`. It is made in the background, and again when it is lost."
  },
  {
    name: "prefix",
    value: "text",
    preset: "keelson:breaker:",
    meaning: "What keys begin with. Processes with the same prefix share their circuits."
  },
  {
    name: "timeout",
    value: "a duration with its unit, from 1 milli to 10 seconds",
    preset: "200 millis",
    meaning: "How long a call to the store may take."
  },
  {
    name: "retryInterval",
    value: "a duration with its unit, from 0 millis to 1 hour",
    preset: "1 second",
    meaning: "How long after a failed call the store is left alone."
  }
]

const intro = [
  "Options come from code, from JSON or YAML text, or from the environment; the guide is",
  "[configuration.md](../guides/configuration.md). A duration is written as a number, a space and a unit: `250 millis`,",
  "`1.5 seconds`, `2 minutes`, `1 hour`, `1 day`. An unknown option, a value out of its range and a contradiction are",
  "refused with `INVALID_CONFIG` ([CFG-002](error-codes.md#cfg-002))."
].join("\n")

export const configurationPage = (): string =>
  page("Configuration", [
    intro,
    ...policySections.flatMap(blocks),
    "## BreakerStore.layerRedis",
    "Options in code only. What happens while Redis is down is told in [operations.md](../guides/operations.md).",
    table(head, redisOptions.map(row)),
    ...keySections.flatMap(blocks),
    ...snapshotOptions.flatMap(({ intro, options, title }) => [`## ${title}`, intro, table(head, options.map(row))]),
    ...tokenSections.flatMap(blocks),
    ...callerSections.flatMap(blocks),
    ...guardSections.flatMap(blocks)
  ])
