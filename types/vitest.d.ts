import "vitest"

declare module "vitest" {
  interface TaskMeta {
    /** How many generated cases a property ran: set by the property helpers of the tests, printed by the reporter. */
    cases?: number
  }
}
