import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Policy, Throttle } from "../../Throttle.ts"
import type { Gate } from "./gate.ts"
import type { Throttled } from "./throttled.ts"
import { throttledCall, throttledHttp } from "./throttledCall.ts"

/** The throttle of a gate. */
export const throttleOf = (name: string, policy: Policy, gate: Gate<Throttled>): Throttle => ({
  name,
  policy,
  execute: (self, options) => throttledCall(self, gate, options),
  http: (self) => throttledHttp(self, gate),
  remaining: Effect.map(Clock.monotonicTimeNanos, (now) => gate.delay(now, 0)),
  pause: (duration) =>
    Effect.map(Clock.monotonicTimeNanos, (now) => gate.pause(Duration.fromInputUnsafe(duration), now)),
  resume: Effect.sync(gate.open)
})
