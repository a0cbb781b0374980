const needed = [22, 19] as const

/** What is wrong with running on this version of Node, such as "20.1.0", or "none". */
export const nodeProblem = (version: string): string => {
  const [major, minor] = version.split(".").map(Number)
  const isEnough = major > needed[0] || (major === needed[0] && minor >= needed[1])
  if (isEnough) return "none"
  return (
    `this is Node ${version}, and Node ${needed.join(".")} or newer is needed; ` +
    "npm scripts and `npx foretoken` in the repository use the Node 24 that npm has installed there"
  )
}
