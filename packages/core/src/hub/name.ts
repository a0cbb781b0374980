import { Result } from "effect"
import { HubError } from "./HubError.ts"

/** org/name, at a branch, a tag or a commit. */
export interface HubName {
  readonly repo: string
  readonly revision: string
}

/**
 * What `given` names on the hub: org/name or org/name@revision. Undefined where it does not look like that and can only be a
 * path. Fails where it looks like that and cannot be a name there.
 */
export const hubName = (given: string): Result.Result<HubName, HubError> | undefined => {
  const parts = /^([^/@]+\/[^/@]+)(?:@(.*))?$/.exec(given)
  if (parts === null || /^[.~]|^[A-Za-z]:|\\/.test(given)) return undefined
  const [, repo, revision = "main"] = parts
  const isName = repo
    .split("/")
    .every((part) => /^[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9_])?$/.test(part) && !/--|\.\./.test(part))
  if (!isName || repo.length > 96) {
    const problem =
      "is neither a directory here nor a name on the hub, where an organisation and a model have letters, digits, -, _ and ."
    return Result.fail(new HubError({ model: given, problem }))
  }
  if (!/^[\w][\w./-]*$/.test(revision) || revision.includes("..")) {
    return Result.fail(new HubError({ model: given, problem: "names no branch, tag or commit behind the @" }))
  }
  return Result.succeed({ repo, revision })
}
