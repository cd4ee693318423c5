import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { Holder } from "./record.ts"
import type { RefreshRecord, RefreshReply } from "./refreshRecord.ts"
import { refreshScripts as scripts } from "./refreshScripts.ts"
import type { Seal } from "./seal.ts"
import type { StoreCalls } from "./storeCalls.ts"

const fenceOf = (value: unknown): number | undefined => {
  const fence = typeof value === "string" ? Number(value) : Number.NaN
  return Number.isSafeInteger(fence) && fence >= 0 ? fence : undefined
}

const flagOf = (reply: unknown): boolean | undefined => reply === 1 ? true : reply === 0 ? false : undefined

/** What binds a stored refresh token beside its key: its name, and the fencing number of the lease. */
const about = (name: string, fence: number): string => JSON.stringify(["refresh", name, fence])

type Parsed =
  | Exclude<RefreshReply, { readonly _tag: "lease" | "unreadable" }>
  | { readonly _tag: "sealed"; readonly fence: number; readonly sealed: string; readonly valueFence: number }

const parse = (reply: unknown): Parsed | undefined => {
  const [tag, second, sealed, fourth]: ReadonlyArray<unknown> = Array.isArray(reply) ? reply : []
  switch (tag) {
    case "wait":
      return { _tag: "wait", millis: fenceOf(second) ?? 0 }
    case "sent":
      return { _tag: "ambiguous" }
    case "refused":
    case "missing":
      return { _tag: tag }
    case "lease": {
      const [fence, valueFence] = [fenceOf(second), fenceOf(fourth)]
      return fence === undefined || valueFence === undefined || typeof sealed !== "string"
        ? undefined
        : { _tag: "sealed", fence, sealed, valueFence }
    }
    default:
      return undefined
  }
}

/** The record of one refresh token in Redis, under a key, encrypted. */
export const makeRedisRefreshRecord = (
  { ignore, run }: StoreCalls,
  seal: Seal,
  options: {
    readonly key: string
    readonly name: string
    readonly lease: Duration.Duration
    readonly minReplicas: number
    readonly timeout: Duration.Duration
  }
): RefreshRecord => {
  const { key, minReplicas, name } = options
  const lease = Math.ceil(Duration.toMillis(options.lease))
  /** `undefined` if the value cannot be decrypted. */
  const open = (sealed: string, fence: number): Effect.Effect<Redacted.Redacted | undefined> =>
    Effect.flatMap(seal.open(sealed, about(name, fence)), (opened) =>
      Result.isSuccess(opened)
        ? Effect.succeed(Redacted.make(opened.success))
        : Effect.as(ignore(opened.failure), undefined))
  const flag = (call: Parameters<StoreCalls["run"]>[1]) => run("refresh_token", call, flagOf)
  /** Whether enough replicas have the mark, so that a failover does not forget it. */
  const isReplicated = minReplicas === 0
    ? Effect.succeed(true)
    : run(
      "refresh_token",
      ({ send }) => send("WAIT", String(minReplicas), String(Math.ceil(Duration.toMillis(options.timeout) / 2))),
      (reply) => typeof reply === "number" && reply >= minReplicas ? true : undefined
    )
  return {
    begin: (owner, seed) =>
      Effect.flatMap(
        run("refresh_token", ({ eval: call }) => call(scripts.begin)(key, owner, lease, seed ?? ""), parse),
        (parsed): Effect.Effect<RefreshReply | undefined> => {
          if (parsed?._tag !== "sealed") return Effect.succeed(parsed)
          const { fence, sealed, valueFence } = parsed
          if (sealed === "") return Effect.succeed({ _tag: "lease", fence, stored: undefined })
          return Effect.flatMap(open(sealed, valueFence), (token): Effect.Effect<RefreshReply> =>
            token === undefined
              ? Effect.as(flag(({ eval: call }) => call(scripts.end)(key, { owner, fence }, "kept")), {
                _tag: "unreadable"
              })
              : Effect.succeed({ _tag: "lease", fence, stored: { token, fence: valueFence } }))
        }
      ),
    mark: (holder) =>
      Effect.flatMap(
        flag(({ eval: call }) => call(scripts.mark)(key, holder)),
        (isMarked) => isMarked === true ? isReplicated : Effect.succeed(isMarked)
      ),
    write: (holder: Holder, token, { isLast, seed }) =>
      Effect.flatMap(
        seal.close(Redacted.value(token), about(name, holder.fence)),
        (sealed) => flag(({ eval: call }) => call(scripts.write)(key, holder, sealed, seed ?? "", isLast))
      ),
    end: (holder, state) => flag(({ eval: call }) => call(scripts.end)(key, holder, state)),
    release: (owner) => Effect.asVoid(flag(({ eval: call }) => call(scripts.release)(key, owner))),
    renew: (holder) => flag(({ eval: call }) => call(scripts.renew)(key, holder, lease)),
    seize: (owner) => run("refresh_token", ({ eval: call }) => call(scripts.seize)(key, owner, lease), fenceOf),
    unmark: flag(({ eval: call }) => call(scripts.unmark)(key)),
    read: Effect.flatMap(
      run(
        "refresh_token",
        ({ eval: call }) => call(scripts.read)(key),
        (reply): { sealed: string; fence: number } | undefined => {
          const [sealed, stated]: ReadonlyArray<unknown> = Array.isArray(reply) ? reply : []
          const fence = fenceOf(stated)
          return typeof sealed !== "string" || fence === undefined ? undefined : { sealed, fence }
        }
      ),
      (stored): Effect.Effect<Redacted.Redacted | null | undefined> => {
        if (stored === undefined) return Effect.undefined
        return stored.sealed === "" ? Effect.succeed(null) : open(stored.sealed, stored.fence)
      }
    )
  }
}
