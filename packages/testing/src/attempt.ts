import { Effect } from "effect"

/** A promise as an effect that fails with what it rejects with, unchanged. */
export const attempt = <A>(call: () => Promise<A>): Effect.Effect<A, unknown> =>
  Effect.callback<A, unknown>((resume) => {
    call().then((value) => resume(Effect.succeed(value)), (reason: unknown) => resume(Effect.fail(reason)))
  })
