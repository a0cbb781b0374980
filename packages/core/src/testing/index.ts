export * as arbitraries from "./arbitraries/index.ts"
export { forAll } from "./forAll.ts"
export { type Law, law, type LawSettings } from "./Law.ts"
export * as laws from "./laws.ts"
