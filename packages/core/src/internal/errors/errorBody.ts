import * as Effect from "effect/Effect"
import type * as HttpServerRespondable from "effect/http/HttpServerRespondable"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Inspectable from "effect/Inspectable"
import { type Category, codeInfo, codeOf } from "../../ErrorCode.ts"
import * as Problem from "../../Problem.ts"

/** Written as a literal whose type is checked: importing the symbol would load Effect's HTTP server with every error. */
const respondable: typeof HttpServerRespondable.symbol = "~effect/http/HttpServerRespondable"

/** The members of every error with a catalogue code, in addition to its fields. */
export interface ErrorBody {
  /** The HTTP status of a response that reports this error. */
  readonly status: number
  readonly category: Category
  /** The encoded form (`Problem`), so that a log or `JSON.stringify` shows allowlisted fields only. */
  toJSON(): Problem.Problem
  /** Name, message, stack, details and redacted cause, as `console.log` shows them. */
  [Inspectable.NodeInspectSymbol](): string
  /** A route that fails with this error answers with `ProblemResponse.make`. */
  [respondable](): Effect.Effect<HttpServerResponse.HttpServerResponse>
}

const infoOf = (error: Error) => codeInfo[codeOf(error) ?? "INTERNAL_ERROR"]

/**
 * The class `Base` with the members of `ErrorBody`. `Base` is an error class of `Data` or of `Schema`; it keeps its
 * constructor and static members. `Array<any>` is the form in which TypeScript recognizes a mixin.
 */
export const errorBody = <Base extends abstract new(...args: Array<any>) => Error>(Base: Base) => {
  abstract class Coded extends Base implements ErrorBody {
    get status(): number {
      return infoOf(this).status
    }
    get category(): Category {
      return infoOf(this).category
    }
    toJSON(): Problem.Problem {
      return Problem.encode(this)
    }
    [Inspectable.NodeInspectSymbol](): string {
      return shown(this)
    }
    [respondable](): Effect.Effect<HttpServerResponse.HttpServerResponse> {
      return Effect.map(Effect.promise(() => import("../../ProblemResponse.ts")), ({ make }) => make(this))
    }
  }
  const mixed: (abstract new(...args: Array<any>) => ErrorBody) & Base = Coded
  return mixed
}

const shown = (error: Error): string => {
  const { details } = Problem.encode(error)
  const facts = Object.keys(details).length === 0 ? "" : `\n  details: ${JSON.stringify(details)}`
  const cause = error.cause instanceof Error ? `\n  [cause]: ${error.cause.stack ?? error.cause.message}` : ""
  return `${error.stack ?? error.message}${facts}${cause}`
}
