/** A scripted source of tokens in virtual time, and providers over it. */
import { KeelsonError, Problem } from "@keelson/core"
import { Clock, Duration, Effect, Redacted, type Scope } from "effect"
import { TokenProvider, type TokenSource } from "../src/index.ts"

/** The server's response to a request; `number` counts from 1. */
export type Answer = (number: number) => Effect.Effect<TokenSource.TokenResponse, unknown>

export interface Server {
  /** When each request arrived, in milliseconds of the monotonic clock. */
  readonly times: ReadonlyArray<number>
  readonly underWay: () => number
  /** The maximum number of concurrent requests. */
  readonly most: () => number
  /** The response to requests from now on. */
  answer: Answer
}

/** The text of the n-th token. */
const tokenText = (number: number): string => `token-${number}`

/** Responds with a new token of this lifetime each time. */
export const living = (lifetime: Duration.Input | undefined, scope?: string): Answer => (number) =>
  Effect.succeed({
    accessToken: Redacted.make(tokenText(number)),
    expiresIn: lifetime === undefined ? undefined : Duration.fromInputUnsafe(lifetime),
    scope
  })

export const failure = (
  code: KeelsonError.CodeOf<"NETWORK">,
  details: Readonly<Record<string, unknown>> = {}
): KeelsonError.NetworkError => new KeelsonError.NetworkError({ code, details })

/** Fails as if there were no server. */
export const down: Answer = () => Effect.fail(failure("NETWORK_ERROR"))

export const hanging: Answer = () => Effect.never

/** Responds after a delay. */
export const slow = (answer: Answer, delay: Duration.Input): Answer => (number) =>
  Effect.delay(Effect.suspend(() => answer(number)), delay)

/** Responds by the number of the request; the last response repeats. */
export const inTurn = (...answers: ReadonlyArray<Answer>): Answer => (number) =>
  (answers[Math.min(number, answers.length) - 1] ?? down)(number)

const makeServer = (answer: Answer): { readonly server: Server; readonly source: TokenSource.Input } => {
  const times: Array<number> = []
  let underWay = 0
  let most = 0
  const server: Server = { times, underWay: () => underWay, most: () => most, answer }
  const source = Effect.flatMap(Clock.Clock, (clock) => {
    times.push(Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000)
    underWay++
    most = Math.max(most, underWay)
    return Effect.ensuring(server.answer(times.length), Effect.sync(() => underWay--))
  })
  return { server, source }
}

/** A provider in the scope, without jitter, over a scripted server. */
export const providerOf = (
  answer: Answer,
  options: Partial<TokenProvider.Options> = {}
): Effect.Effect<
  { readonly provider: TokenProvider.TokenProvider["Service"]; readonly server: Server },
  KeelsonError.ConfigurationError,
  Scope.Scope
> =>
  Effect.suspend(() => {
    const { server, source } = makeServer(answer)
    const policy = { jitter: 0, ...options.policy }
    return Effect.map(TokenProvider.make({ name: "billing", source, ...options, policy }), (provider) => ({
      provider,
      server
    }))
  })

/** The token's text. */
export const textOf = ({ value }: { readonly value: Redacted.Redacted }): string => Redacted.value(value)

/** The details of an error. */
export const detailsOf = (error: unknown): Problem.Details => Problem.encode(error).details
