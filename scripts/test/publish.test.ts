import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { type Budget, sizeLines, sizeProblems, withSizes } from "../publish/budget.ts"
import { declarations, installedBy, loader, notInstalled, programsIn } from "../publish/examples.ts"
import {
  fileProblems,
  isNeutral,
  type Manifest,
  manifestProblems,
  packageOf,
  type Packed,
  packedProblems,
  publicModules
} from "../publish/packed.ts"
import { openOf, readingOf } from "../publish/readers.ts"

const fence = "```"

const built = (stem: string): ReadonlyArray<string> => [
  `src/${stem}.ts`,
  ...[".js", ".js.map", ".d.ts", ".d.ts.map"].map((ending) => `dist/${stem}${ending}`)
]

const files = ["package.json", "README.md", "LICENSE", ...built("index"), ...built("Retry"), ...built("internal/cut")]

const manifest: Manifest = {
  name: "@keelson/jwks",
  version: "0.1.0",
  type: "module",
  description: "Keys",
  license: "MIT",
  homepage: "https://keelson.example",
  bugs: "https://keelson.example/issues",
  keywords: ["jwks"],
  repository: { url: "git+https://keelson.example/keelson.git", directory: "packages/jwks" },
  sideEffects: [],
  exports: {
    "./package.json": "./package.json",
    ".": { types: "./dist/index.d.ts", default: "./dist/index.js" },
    "./*": { types: "./dist/*.d.ts", default: "./dist/*.js" },
    "./internal/*": null,
    "./index": null
  },
  engines: { node: ">=22.19.0" },
  dependencies: { "@keelson/core": "^0.1.0", jose: "^6.2.17" },
  peerDependencies: { effect: "^4.1.0" },
  publishConfig: { access: "public", provenance: true }
}

const packed: Packed = {
  manifest,
  files,
  imports: ["./Retry.js", "@keelson/core/unstable/Field", "effect", "effect/http", "jose", "node:tls"]
}

describe("publish", () => {
  it("finds nothing in a package that is as it should be", () => {
    assert.deepStrictEqual(packedProblems(packed), [])
  })

  describe("files", () => {
    it("misses the licence, and what a source should have become", () => {
      const without = files.filter((file) => file !== "LICENSE" && file !== "dist/Retry.d.ts")
      assert.deepStrictEqual(fileProblems(without), ["LICENSE is missing", "dist/Retry.d.ts is missing"])
    })

    it.each(["dist/Gone.js", "src/Retry.test.ts", "test/Retry.test.ts", "tsconfig.json", ".tsbuildinfo", "dist/a.ts"])(
      "has no place for %s",
      (file) => {
        assert.deepStrictEqual(fileProblems([...files, file]), [`${file} should not be in it`])
      }
    )

    it("has a place for the change log", () => {
      assert.deepStrictEqual(fileProblems([...files, "CHANGELOG.md"]), [])
    })
  })

  describe("manifest", () => {
    it.each<readonly [string, Partial<Manifest>]>([
      ["type module", { type: "commonjs" }],
      ["license MIT", { license: "ISC" }],
      ["sideEffects: []", { sideEffects: ["./dist/index.js"] }],
      ["sideEffects: []", { sideEffects: true }],
      ["engines.node", { engines: {} }],
      ["description, keywords, homepage and bugs", { keywords: [] }],
      ["repository with url and directory", { repository: { directory: "packages/jwks" } }],
      ["repository with url and directory", { repository: { ...manifest.repository, directory: "packages/core" } }],
      ["public access with provenance", { publishConfig: { access: "public" } }],
      ["exports with types, and internal modules closed", { exports: { ".": "./src/index.ts" } }],
      ["exports with types, and internal modules closed", { exports: { ...manifest.exports, "./internal/*": "./a" } }]
    ])("lacks %s", (claim, change) => {
      assert.deepStrictEqual(manifestProblems({ ...manifest, ...change }), [`package.json lacks: ${claim}`])
    })
  })

  describe("dependencies", () => {
    it("declares what is imported, by a path or whole", () => {
      assert.deepStrictEqual(packedProblems({ ...packed, imports: [...packed.imports, "undici", "@a/b/c"] }), [
        "imports undici, which it does not declare",
        "imports @a/b, which it does not declare"
      ])
    })

    it("declares nothing else", () => {
      const dependencies = { ...manifest.dependencies, undici: "^8.12.4" }
      assert.deepStrictEqual(packedProblems({ ...packed, manifest: { ...manifest, dependencies } }), [
        "declares undici, which it does not import"
      ])
    })

    it.each(["6.2.17", "workspace:^", "catalog:", "*", "~6.2.17"])("wants a caret range in place of %s", (range) => {
      const dependencies = { ...manifest.dependencies, jose: range }
      const [problem = "", ...others] = packedProblems({ ...packed, manifest: { ...manifest, dependencies } })
      assert.deepStrictEqual(others, [])
      assert.match(problem, /^wants jose .*: a caret range/)
    })
  })

  it("knows the package of a path", () => {
    assert.deepStrictEqual(["effect/http", "@a/b/c/d", "jose"].map(packageOf), ["effect", "@a/b", "jose"])
  })

  it("takes for public what is neither internal nor the index, and for neutral what is not named Node*", () => {
    const modules = publicModules([...files, "src/NodeEgress.ts", "src/internal/NodePins.ts"])
    assert.deepStrictEqual(modules, ["Retry", "NodeEgress"])
    assert.deepStrictEqual(modules.filter(isNeutral), ["Retry"])
    const testing = publicModules(["src/testing/Simulate.ts", "src/testing/index.ts", "src/testing/NodeFleet.ts"])
    assert.deepStrictEqual(testing, ["testing/Simulate", "testing/NodeFleet"])
    assert.deepStrictEqual(testing.filter(isNeutral), ["testing/Simulate"])
  })

  it.each(["core", "token"])("@keelson/%s has its short path for tests in the checkout and in the tarball", (name) => {
    const read: Pick<Manifest, "exports"> & { readonly publishConfig: Pick<Manifest, "exports"> } = JSON.parse(
      readFileSync(join(import.meta.dirname, `../../packages/${name}/package.json`), "utf8")
    )
    const lacks = manifestProblems({
      ...manifest,
      name: `@keelson/${name}`,
      exports: read.publishConfig.exports ?? {}
    })
    assert.notInclude(lacks.join(), "exports")
    assert.strictEqual(read.exports?.["./testing"], "./src/testing/index.ts")
  })

  describe("examples", () => {
    const readme = [
      "# A",
      `${fence}sh`,
      "npm install --save @keelson/jwks effect",
      fence,
      `${fence}ts import.meta.vitest`,
      `import { Jwk } from "@keelson/jwks"`,
      "export const one = 1 // => 1",
      fence,
      ""
    ].join("\n")

    it("reads what a README says to install", () => {
      assert.deepStrictEqual(installedBy(readme), ["@keelson/jwks", "effect"])
      assert.deepStrictEqual(installedBy("# A\n\nUse `npm install x`.\n"), [])
    })

    it("makes programs with assertions of marked fences", () => {
      assert.deepStrictEqual(programsIn("README", readme), [{
        file: "README.5.ts",
        code: [
          `import * as Assert from "./assert.ts"`,
          `import { Jwk } from "@keelson/jwks"`,
          "",
          "const one = 1",
          "Assert.assertEquals<unknown>(one, 1)",
          "",
          "export {}",
          ""
        ].join("\n")
      }])
    })

    it("names packages that an example imports and nobody said to install", () => {
      const programs = [{ file: "a.ts", code: `import { a } from "jose"\nimport { b } from "effect/http"\n` }]
      assert.deepStrictEqual(notInstalled(programs, ["effect"]), ["jose"])
    })

    it("loads open modules, and throws where a closed one loads or is missing", () => {
      assert.include(loader(["a"], ["a/internal/b"]), `const open = ["a"]\nconst closed = ["a/internal/b"]\n`)
      assert.strictEqual(declarations(["a", "a/B"]), `export * as module0 from "a"\nexport * as module1 from "a/B"\n`)
    })

    it("is a reader who installs tarballs, and finds packages below them that no registry has", () => {
      const jwks = { folder: "jwks", path: "/jwks.tgz", packed }
      const core = {
        folder: "core",
        path: "/core.tgz",
        packed: { ...packed, manifest: { ...manifest, name: "@keelson/core" } }
      }
      const { problems, project } = readingOf({ name: "jwks", readme, about: [jwks] }, [core, jwks], "/project")
      assert.deepStrictEqual(problems, [])
      assert.deepStrictEqual(project.install, ["file:/jwks.tgz", "effect"])
      assert.deepStrictEqual(project.overrides, { "@keelson/core": "file:/core.tgz" })
      assert.deepStrictEqual(project.open, openOf(jwks))
      assert.deepStrictEqual(project.open, ["@keelson/jwks", "@keelson/jwks/Retry"])
      assert.deepStrictEqual(project.closed, ["@keelson/jwks/internal/cut", "@keelson/jwks/index"])
    })

    it("says when a README of a package does not say what to install", () => {
      const jwks = { folder: "jwks", path: "/jwks.tgz", packed }
      const core = { ...jwks, folder: "core" }
      const { problems } = readingOf({ name: "jwks", readme: "# A\n", about: [jwks] }, [core, jwks], "/project")
      assert.deepStrictEqual(problems, ["the README of jwks does not say what to install"])
    })
  })

  describe("budget", () => {
    const budget: Budget = { allowance: 0.05, sizes: { validator: { minified: 100_000, gzip: 40_000 } } }

    it("prints each size beside the last", () => {
      const sizes = { validator: { minified: 98_000, gzip: 39_000 }, retry: { minified: 1000, gzip: 500 } }
      assert.deepStrictEqual(sizeLines(budget, sizes), [
        "validator: 98.0 kB minified, 39.0 kB with gzip (-2.0 %)",
        "retry: 1.0 kB minified, 0.5 kB with gzip (new)"
      ])
    })

    it("allows growth up to the allowance and no more", () => {
      const grown = (minified: number) => ({ validator: { minified, gzip: 40_000 } })
      assert.deepStrictEqual(sizeProblems(budget, grown(105_000)), [])
      assert.deepStrictEqual(sizeProblems(budget, grown(105_001)), [
        "validator grew from 100.0 kB to 105.0 kB minified"
      ])
    })

    it("knows bundles that are new or gone", () => {
      assert.deepStrictEqual(sizeProblems(budget, { retry: { minified: 1, gzip: 1 } }), [
        "retry has no size in the budget",
        "validator is not bundled any more"
      ])
    })

    it("takes the sizes of today, and keeps the allowance", () => {
      const sizes = { retry: { minified: 1, gzip: 1 } }
      assert.deepStrictEqual(withSizes(budget, sizes), { allowance: 0.05, sizes })
    })
  })
})
