/** Runs the cases of the corpus against a control token. */
import { errorOf } from "@keelson/testing/exits"
import { Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import type { TokenError, TokenValidator } from "../../src/index.ts"
import type { Case } from "./case.ts"
import { canary, type Control, now } from "./control.ts"

/** A case with an unexpected outcome. All are collected, so that one run reports every mismatch. */
export interface Mismatch {
  readonly name: string
  readonly got: unknown
}

const windowLength = 12

/** Whether a text contains a value that the token's author chose, or a piece of the token. */
export const shows = (text: string, token: string): boolean => {
  if (text.includes(canary)) return true
  const windows = new Set<string>()
  for (let at = 0; at + windowLength <= text.length; at++) windows.add(text.slice(at, at + windowLength))
  for (let at = 0; at + windowLength <= Math.min(token.length, 20_000); at++) {
    if (windows.has(token.slice(at, at + windowLength))) return true
  }
  return false
}

/** An error's text in every form in which it may be logged. */
export const shownBy = (error: Error & Pick<TokenError.TokenError, "details">): string =>
  [
    error.message,
    String(error),
    JSON.stringify(error),
    JSON.stringify(error.details),
    inspect(error, { depth: 10 }).replaceAll(/^ +at .*$/gm, "")
  ].join("\n")

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

/** Runs one case. Returns a mismatch if the outcome is not the expected one. */
const judge = <C>(
  validator: TokenValidator.TokenValidator<C>,
  { mutate, name, reason }: Case,
  control: Control
): Effect.Effect<ReadonlyArray<Mismatch>> =>
  Effect.gen(function*() {
    const token = yield* Effect.promise(async () => mutate(control))
    if (token === control.token) return [{ name, got: "the control itself" }]
    const exit = yield* Effect.exit(validator.validate(token))
    if (Exit.isSuccess(exit)) return [{ name, got: "accepted" }]
    if (Exit.hasDies(exit)) return [{ name, got: exit.cause }]
    const error = errorOf(exit)
    if (!isSame(error.reason, reason)) return [{ name, got: error.reason }]
    if (!error.isRejection) return [{ name, got: error.code }]
    return shows(shownBy(error), token) ? [{ name, got: shownBy(error) }] : []
  })

/** Whether a case applies to an algorithm. */
export const isFor = ({ on }: Case, { alg }: Pick<Control, "alg">): boolean => on === undefined || on.includes(alg)

/**
 * Runs the cases that apply to a control and returns the mismatches. The control must be accepted before and after.
 */
export const mismatches = <C>(
  validator: TokenValidator.TokenValidator<C>,
  cases: ReadonlyArray<Case>,
  control: Control
): Effect.Effect<ReadonlyArray<Mismatch>> =>
  Effect.gen(function*() {
    yield* TestClock.setTime(now * 1000)
    const accepted = Effect.orDie(validator.validate(control.token))
    yield* accepted
    const found = yield* Effect.forEach(cases.filter((one) => isFor(one, control)), (one) =>
      judge(validator, one, control), {
      concurrency: 16
    })
    yield* accepted
    return found.flat()
  })

/** Returns the mutations that should leave a token valid but were rejected. */
export const rejected = <C>(
  validator: TokenValidator.TokenValidator<C>,
  mutations: Readonly<Record<string, (control: Control) => string | Promise<string>>>,
  control: Control
): Effect.Effect<ReadonlyArray<Mismatch>> =>
  Effect.gen(function*() {
    yield* TestClock.setTime(now * 1000)
    const found = yield* Effect.forEach(Object.entries(mutations), ([name, mutate]) =>
      Effect.gen(function*() {
        const token = yield* Effect.promise(async () => mutate(control))
        const exit = yield* Effect.exit(validator.validate(token))
        return Exit.isSuccess(exit) ? [] : [{ name, got: errorOf(exit).reason }]
      }))
    return found.flat()
  })
