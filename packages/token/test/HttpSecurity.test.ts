import { describe } from "@effect/vitest"
import { httpSecurityBoundSuite } from "./HttpSecurityBoundSuite.ts"
import { httpSecuritySourcesSuite } from "./HttpSecuritySourcesSuite.ts"
import { httpSecuritySuite } from "./HttpSecuritySuite.ts"
import { variants } from "./protectedServer.ts"

describe("HttpSecurity", () => {
  for (const [name, variant] of variants) {
    describe(`of ${name}`, () => {
      httpSecuritySuite(variant)
      httpSecuritySourcesSuite(variant)
      httpSecurityBoundSuite(variant)
    })
  }
})
