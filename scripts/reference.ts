/**
 * The reference pages under docs/reference, made from the catalogue, the observed failures, the metrics and the options of the packages.
 *
 * `node scripts/reference.ts` writes them. With `--check` it writes nothing, and fails if a page is outdated.
 */
import { writeOrCheck } from "./pages.ts"
import { classificationPage } from "./referenceClassification.ts"
import { configurationPage } from "./referenceConfiguration.ts"
import { errorCodesPage } from "./referenceErrorCodes.ts"
import { metricsPage } from "./referenceMetrics.ts"

/** Every page's text by its path in the repository. */
export const pages = (): ReadonlyMap<string, string> =>
  new Map([
    ["docs/reference/error-codes.md", errorCodesPage()],
    ["docs/reference/classification.md", classificationPage()],
    ["docs/reference/metrics.md", metricsPage()],
    ["docs/reference/configuration.md", configurationPage()]
  ])

if (import.meta.main) writeOrCheck(pages(), "pnpm run docs")
