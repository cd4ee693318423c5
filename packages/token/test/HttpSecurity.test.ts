import { describe } from "@effect/vitest"
import { httpSecuritySourcesSuite } from "./HttpSecuritySourcesSuite.ts"
import { httpSecuritySuite } from "./HttpSecuritySuite.ts"
import { asHttpApi, asRoutes } from "./protectedServer.ts"

describe("HttpSecurity", () => {
  describe("of an HttpApi", () => {
    httpSecuritySuite(asHttpApi)
    httpSecuritySourcesSuite(asHttpApi)
  })
  describe("of an HttpRouter", () => {
    httpSecuritySuite(asRoutes)
    httpSecuritySourcesSuite(asRoutes)
  })
})
