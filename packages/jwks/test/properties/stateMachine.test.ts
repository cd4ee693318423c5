/**
 * The model test of a key set cache. It drives a provider of `makeProvider` and a simple model of it with the same commands,
 * in virtual time, and compares them after every step.
 *
 * - `modelCommands.ts`: the commands of a case as plain data, and their generators.
 * - `modelRun.ts`: runs a case; each command acts on the provider and on the model.
 * - `model.ts`: the model: what the cache must know, when it may fetch, and which events and transitions are allowed.
 * - `modelUpstream.ts`: the scripted key set provider, and the checks of each request that it gets.
 * - `modelLookups.ts`: which results a lookup may have, and the checks of candidates and their trust.
 * - `modelStatus.ts`: the checks of the status that the cache reports.
 */
import { describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { approach, behavior, caching, cases, close, divergence, freeze, ops, pass, publish } from "./modelCommands.ts"
import { runCase } from "./modelRun.ts"

describe("the state machine of a JWKS cache", () => {
  it("[S1-09] [S1-12] [L1] [L2] [L3] [L4] [L5] [L7] agrees with its model through outages, rotations and invalidations", (context) =>
    forAllEffect(
      context,
      150,
      cases([12, ops], [4, pass], [3, approach], [4, behavior], [2, publish], [1, caching]),
      runCase
    ))

  it("[S1-09] [S1-13] [L4] [L6] [R23] agrees with its model while the clocks go apart", (context) =>
    forAllEffect(
      context,
      150,
      cases([8, ops], [2, pass], [1, approach], [5, divergence], [2, behavior], [1, publish], [1, caching]),
      runCase
    ))

  it("[L4] [L6] [R23] agrees with its model while timers are late", (context) =>
    forAllEffect(
      context,
      100,
      cases([8, ops], [2, pass], [1, approach], [3, freeze], [2, behavior], [1, publish]),
      runCase
    ))

  it("[S1-27] [L3] [L5] agrees with its model while keys come and go", (context) =>
    forAllEffect(context, 100, cases([10, ops], [4, pass], [2, approach], [4, publish], [1, behavior]), runCase))

  it("[L8] agrees with its model when its scope is closed", (context) =>
    forAllEffect(context, 100, cases([10, ops], [4, pass], [1, approach], [3, behavior], [1, close]), runCase))
})
