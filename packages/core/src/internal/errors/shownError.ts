import * as Problem from "../../Problem.ts"

/** An error for a person: name, message, stack, details and redacted cause. What `console.log` shows of ours. */
export const shownError = (error: Error): string => {
  const { details } = Problem.encode(error)
  const facts = Object.keys(details).length === 0 ? "" : `\n  details: ${JSON.stringify(details)}`
  const cause = error.cause instanceof Error ? `\n  [cause]: ${error.cause.stack ?? error.cause.message}` : ""
  return `${error.stack ?? error.message}${facts}${cause}`
}
